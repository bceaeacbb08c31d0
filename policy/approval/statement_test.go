package approval

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// TestEveryByteCounts: a file that differs anywhere, by a bit, a byte more or less, or its length, is refused.
func TestEveryByteCounts(t *testing.T) {
	for _, kind := range [][]string{{"ed25519"}, {"ecdsa"}, {"rsa", "-b", "2048"}} {
		file := signed(t, newKey(t, kind[0], kind[1:]...), statementOf(Approve, "bob"))
		if _, err := Parse(file); err != nil {
			t.Fatal(err)
		}
		tried := 0
		refused := func(what string, at int, b []byte) {
			tried++
			if _, err := Parse(b); err == nil {
				t.Fatalf("%v: taken with %s at %d:\n%s", kind, what, at, b)
			}
		}
		for i := range file {
			for bit := range 8 {
				b := bytes.Clone(file)
				b[i] ^= 1 << bit
				refused("a bit turned", i, b)
			}
			refused("a byte gone", i, slices.Delete(bytes.Clone(file), i, i+1))
			for _, more := range []byte{'\n', ' ', '=', 'A', '\r', 0} {
				if file[i] != more {
					refused("a byte more", i, slices.Insert(bytes.Clone(file), i, more))
				}
			}
			refused("the end cut", i, file[:i])
			refused("the beginning cut", i, file[i+1:])
		}
		t.Logf("%v: %d changes of %d bytes refused", kind, tried, len(file))
	}
}

func TestWrongFiles(t *testing.T) {
	k := newEd25519(t)
	s := statementOf(Sign, "alice")
	file := string(k.file(s))
	text, sig, _ := strings.Cut(file, begin)
	sig = begin + sig
	redo := func(text string) string { return text + string(arm(mustBlob(k, text))) } // rightly signed all the same
	edit := func(from, to string) string { return redo(strings.Replace(text, from, to, 1)) }
	for what, c := range map[string]struct{ file, says string }{
		"empty":                    {"", "no SSH signature"},
		"statement alone":          {text, "no SSH signature"},
		"signature alone":          {sig, "0 lines before"},
		"huge":                     {file + strings.Repeat("\n", MaxFile), "larger than 16 KiB"},
		"CRLF":                     {strings.ReplaceAll(file, "\n", "\r\n"), "LF line ends"},
		"CRLF, signed so":          {redo(strings.ReplaceAll(text, "\n", "\r\n")), "line 1 holds the byte 0x0d"},
		"byte-order mark":          {"\ufeff" + file, "line 1 holds the byte 0xef"},
		"NUL":                      {edit("alice", "ali\x00ce"), "line 3 holds the byte 0x00"},
		"not ASCII":                {edit("alice", "alicé"), "plain ASCII"},
		"two files":                {file + file, "not written as ssh-keygen"},
		"two signatures":           {file + sig, "not written as ssh-keygen"},
		"two statements":           {redo(text + text), "16 lines"},
		"a line more":              {redo(text + "note: x\n"), "9 lines"},
		"a line less":              {edit("group: ward-3\n", ""), "7 lines"},
		"empty line at the end":    {redo(text + "\n"), "9 lines"},
		"no last line end":         {redo(strings.TrimSuffix(text, "\n")), "7 lines"},
		"other first line":         {edit("statement 1", "statement 2"), "does not begin with"},
		"other order":              {edit("group: ward-3\nversion: 12", "version: 12\ngroup: ward-3"), `line 5 does not begin with "group: "`},
		"same key twice":           {edit("version: 12", "group: ward-3"), `line 6`},
		"no space":                 {edit("by: alice", "by:alice"), `line 3`},
		"two spaces":               {edit("by: alice", "by:  alice"), "by:"},
		"space at the end":         {edit("alice\n", "alice \n"), "by:"},
		"key in capitals":          {edit("act:", "Act:"), "line 2"},
		"other act":                {edit("act: sign", "act: both"), "neither sign nor approve"},
		"nobody":                   {edit("alice", ""), "by:"},
		"pattern as name":          {edit("alice", "*"), "by:"},
		"list as name":             {edit("alice", "alice,bob"), "by:"},
		"formula as name":          {edit("alice", "=cmd"), "by:"},
		"long name":                {edit("alice", strings.Repeat("a", 65)), "by:"},
		"hash in capitals":         {edit("hash: abab", "hash: ABab"), "hash:"},
		"short hash":               {edit("hash: ab", "hash: "), "hash:"},
		"no group":                 {edit("group: ward-3", "group: "), "not written exactly"},
		"version with zeros":       {edit("version: 12", "version: 012"), "not written exactly"},
		"version with sign":        {edit("version: 12", "version: +12"), "not written exactly"},
		"negative version":         {edit("version: 12", "version: -1"), "out of bounds"},
		"great version":            {edit("version: 12", "version: 2147483648"), "out of bounds"},
		"endless version":          {edit("version: 12", "version: "+strings.Repeat("9", 40)), "not a whole number"},
		"hexadecimal version":      {edit("version: 12", "version: 0xc"), "not a whole number"},
		"signers missing":          {edit("signers: cdcd", "signers: -"), "signers:"},
		"expires with zone":        {edit("2026-03-08T12:00:00Z", "2026-03-08T12:00:00+00:00"), "not a time like"},
		"expires with fraction":    {edit("2026-03-08T12:00:00Z", "2026-03-08T12:00:00.0Z"), "not written exactly"},
		"expires on no day":        {edit("2026-03-08", "2026-02-30"), "not a time like"},
		"expires long ago":         {edit("2026-03-08", "0001-03-08"), "1970"},
		"armour with a space":      {strings.Replace(file, "\n-----END", " \n-----END", 1), "not written as"},
		"armour in longer lines":   {text + rewrap(sig, 76), "not written as"},
		"armour on one line":       {text + rewrap(sig, 1<<20), "not written as"},
		"armour of something else": {strings.ReplaceAll(file, "SSH SIGNATURE", "PGP SIGNATURE"), "no SSH signature"},
		"no last line end of all":  {strings.TrimSuffix(file, "\n"), "does not end with"},
		"text after":               {file + "note\n", "does not end with"},
	} {
		if _, err := Parse([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
	}
}

func mustBlob(k software, text string) []byte { return ssh.Marshal(k.blob([]byte(text), nil)) }

func rewrap(sig string, wide int) string {
	body := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(sig, begin), end), "\n", "")
	var b strings.Builder
	for len(body) > 0 {
		n := min(wide, len(body))
		b.WriteString(body[:n] + "\n")
		body = body[n:]
	}
	return begin + b.String() + end
}

// TestStatementsThatSayTheSame: what can be said is read back as it was.
func TestStatementsThatSayTheSame(t *testing.T) {
	k := newEd25519(t)
	for _, change := range []func(*Statement){
		func(s *Statement) {}, func(s *Statement) { s.Act = Approve }, func(s *Statement) { s.Group = "" },
		func(s *Statement) { s.Group = "Ward 3 / left" }, func(s *Statement) { s.Version = 0 }, func(s *Statement) { s.Version = 1<<31 - 1 },
		func(s *Statement) { s.By = "Alice_A.B-C+d@clinic.example:7/x" }, func(s *Statement) { s.By = "7" }, func(s *Statement) { s.Signers = NoSigners },
		func(s *Statement) { s.Expires = s.Expires.In(time.FixedZone("", 3600)) },
	} {
		s := statementOf(Sign, "alice")
		change(&s)
		if err := s.Valid(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
		g, err := Parse(k.file(s))
		if err != nil || !s.Expires.Equal(g.Expires) {
			t.Errorf("%+v: read %+v, %v", s, g.Statement, err)
		}
		if g.Expires = s.Expires; g.Statement != s {
			t.Errorf("read %+v, want %+v", g.Statement, s)
		}
	}
	for _, change := range []func(*Statement){
		func(s *Statement) { s.Act = "" }, func(s *Statement) { s.By = "a b" }, func(s *Statement) { s.By = "" }, func(s *Statement) { s.By = "a\nact: approve" },
		func(s *Statement) { s.Hash = "" }, func(s *Statement) { s.Group = "-" }, func(s *Statement) { s.Group = "a\nb" }, func(s *Statement) { s.Version = -1 },
		func(s *Statement) { s.Signers = "" }, func(s *Statement) { s.Expires = time.Time{} }, func(s *Statement) { s.Expires = s.Expires.Add(1) },
		func(s *Statement) { s.Expires = s.Expires.AddDate(9000, 0, 0) },
	} {
		s := statementOf(Sign, "alice")
		change(&s)
		if s.Valid() == nil {
			t.Errorf("%+v is taken", s)
		}
		if g, err := Parse(k.file(s)); err == nil && g.Statement == s {
			t.Errorf("%q is read", s.Text())
		}
	}
}

func FuzzParse(f *testing.F) {
	k := newEd25519(f)
	for _, s := range []Statement{statementOf(Sign, "alice"), statementOf(Approve, "bob@clinic.example")} {
		f.Add(k.file(s))
		f.Add(s.Text())
		f.Add([]byte(strings.ReplaceAll(string(k.file(s)), "\n", "\r\n")))
	}
	f.Add(securityKey(f, "sk-ssh-ed25519@openssh.com", 1).file(statementOf(Sign, "c")))
	f.Add([]byte(begin + end))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := Parse(b)
		if err != nil {
			for _, r := range err.Error() {
				if r < ' ' || r == 0x7f {
					t.Errorf("the error holds %q", r)
				}
			}
			return
		}
		if !bytes.HasPrefix(b, g.Text()) || g.Valid() != nil || len(b) > MaxFile {
			t.Errorf("%q is read as %+v", b, g)
		}
	})
}
