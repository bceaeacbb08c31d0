package approval

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// cast are two people, each with a key, and more keys.
type cast struct {
	alice, bob, more software
	list             string
}

func people(t testing.TB) cast {
	c := cast{alice: newEd25519(t), bob: newEd25519(t), more: newEd25519(t)}
	c.list = c.alice.line("alice") + c.bob.line("bob")
	return c
}

// check judges an author's and an approver's file.
func (c cast) check(list string, w Wanted, files ...[]byte) (Approved, error) {
	var fs []File
	for i, f := range files {
		fs = append(fs, File{fmt.Sprintf("%d.approval", i+1), f})
	}
	s, _ := ParseSigners([]byte(list))
	return Check(fs, s, w)
}

func TestTwoPeople(t *testing.T) {
	c := people(t)
	sign, approve := c.alice.file(statementOf(Sign, "alice")), c.bob.file(statementOf(Approve, "bob"))
	for _, files := range [][][]byte{
		{sign, approve}, {approve, sign}, {sign, sign, approve, approve},
		{[]byte("garbage"), approve, nil, sign, c.more.file(statementOf(Approve, "bob"))},
		{c.alice.file(statementOf(Approve, "alice")), c.bob.file(statementOf(Sign, "bob")), sign, approve},
	} {
		who, err := c.check(c.list, wantedBy(), files...)
		if err != nil {
			t.Errorf("two people are not enough: %v", err)
			continue
		}
		if who.Author == who.Approver || who.AuthorKey == who.ApproverKey {
			t.Errorf("approved by %+v", who)
		}
	}
	who, _ := c.check(c.list, wantedBy(), approve, sign)
	a, _ := Parse(sign)
	b, _ := Parse(approve)
	if want := (Approved{"alice", "bob", a.Fingerprint(), b.Fingerprint()}); who != want {
		t.Errorf("answers %+v, want %+v", who, want)
	}
}

// TestKeygenMadeBoth: the whole way with ssh-keygen's own signatures, of different kinds of keys.
func TestKeygenMadeBoth(t *testing.T) {
	alice, bob := newKey(t, "ecdsa", "-b", "384"), newKey(t, "rsa", "-b", "2048")
	list := "# people of the clinic\nalice,!bob namespaces=\"policy@stepaway\" " + pub(t, alice) + "\nbob valid-after=\"20260101Z\" " + pub(t, bob) + "\n"
	who, err := people(t).check(list, wantedBy(), signed(t, alice, statementOf(Sign, "alice")), signed(t, bob, statementOf(Approve, "bob")))
	if err != nil || who.Author != "alice" || who.Approver != "bob" {
		t.Errorf("%+v, %v", who, err)
	}
}

// TestOnePersonIsNotTwo: every way in which one person may have made both.
func TestOnePersonIsNotTwo(t *testing.T) {
	c := people(t)
	both := func(author, approver software, name, other string) [][]byte {
		return [][]byte{author.file(statementOf(Sign, name)), approver.file(statementOf(Approve, other))}
	}
	for what, x := range map[string]struct {
		list  string
		files [][]byte
		says  string
	}{
		"the same name and key":              {c.list, both(c.alice, c.alice, "alice", "alice"), "alice made both"},
		"one person with two keys":           {c.list + c.more.line("alice"), both(c.alice, c.more, "alice", "alice"), "alice made both"},
		"the same name in capitals":          {c.list + c.more.line("Alice"), both(c.alice, c.more, "alice", "Alice"), "Alice made both"},
		"the same key under two names":       {c.list + c.alice.line("alicia"), both(c.alice, c.alice, "alice", "alicia"), "both were made with the key SHA256:"},
		"the same key, names in one line":    {c.alice.line("alice,alicia"), both(c.alice, c.alice, "alice", "alicia"), "both were made with the key"},
		"author's key is also other's":       {c.alice.line("alice,alicia") + c.more.line("alicia"), both(c.alice, c.more, "alice", "alicia"), "line 1 of the allowed signers says that the key of alice is also that of alicia"},
		"approver's key is also author's":    {c.alice.line("alice") + c.more.line("alicia,alice"), both(c.alice, c.more, "alice", "alicia"), "line 2 of the allowed signers says that the key of alicia is also that of alice"},
		"said on a line of its own":          {c.list + c.bob.line("alice"), both(c.alice, c.bob, "alice", "bob"), "line 3"},
		"said for another namespace":         {c.list + c.bob.line(`alice namespaces="file"`), both(c.alice, c.bob, "alice", "bob"), "line 3"},
		"said for last year":                 {c.list + c.bob.line(`alice valid-before="20250101"`), both(c.alice, c.bob, "alice", "bob"), "line 3"},
		"said as a certificate authority":    {c.list + c.alice.line("bob cert-authority"), both(c.alice, c.bob, "alice", "bob"), "line 3"},
		"a pattern of everybody":             {c.alice.line("alice") + c.bob.line("*"), both(c.alice, c.bob, "alice", "bob"), "line 2"},
		"a pattern of a domain":              {c.alice.line("*@c.example") + c.bob.line("*@c.example"), both(c.alice, c.bob, "a@c.example", "b@c.example"), "line 1"},
		"two authors":                        {c.list, [][]byte{c.alice.file(statementOf(Sign, "alice")), c.bob.file(statementOf(Sign, "bob"))}, "no file counts as the approver's (make one: stepaway-agent policy approve FILE)"},
		"two approvers":                      {c.list, [][]byte{c.alice.file(statementOf(Approve, "alice")), c.bob.file(statementOf(Approve, "bob"))}, "no file counts as the author's"},
		"the author alone":                   {c.list, [][]byte{c.alice.file(statementOf(Sign, "alice"))}, "approver's"},
		"nobody":                             {c.list, nil, "no file counts as the author's (make one: stepaway-agent policy sign FILE); no file counts as the approver's"},
		"an author's file as the approver's": {c.list, [][]byte{c.alice.file(statementOf(Sign, "alice")), relabel(c.bob.file(statementOf(Sign, "bob")))}, "2.approval: the signature does not fit the statement"},
	} {
		who, err := c.check(x.list, wantedBy(), x.files...)
		if !errors.Is(err, ErrNotApproved) || !strings.Contains(err.Error(), x.says) || who != (Approved{}) {
			t.Errorf("%s: %+v, %v, want %q", what, who, err, x.says)
		}
	}
	// Names that are only alike, and a pattern that leaves the other one out, are two people.
	list := c.alice.line("*@c.example,!bob@c.example") + c.bob.line("bob@c.example")
	if _, err := c.check(list, wantedBy(), both(c.alice, c.bob, "alice@c.example", "bob@c.example")...); err != nil {
		t.Error(err)
	}
}

func relabel(file []byte) []byte {
	return []byte(strings.Replace(string(file), "act: sign", "act: approve", 1))
}

// TestWhatDoesNotCount: the approver's file is wrong in one way, and the author's is right. Either may be it.
func TestWhatDoesNotCount(t *testing.T) {
	c := people(t)
	for what, x := range map[string]struct {
		change func(*Statement)
		want   func(*Wanted)
		list   string
		key    software
		says   string
	}{
		"wrong key":              {key: c.more, says: "do not have the key SHA256:"},
		"another's name":         {change: func(s *Statement) { s.By = "carol" }, says: "but not for carol"},
		"name in capitals":       {change: func(s *Statement) { s.By = strings.ToUpper(s.By) }, says: "but not for "},
		"expired":                {want: func(w *Wanted) { w.Now = now.Add(7 * 24 * time.Hour) }, says: "expired at 2026-03-08T12:00:00Z"},
		"valid too long":         {change: func(s *Statement) { s.Expires = now.Add(MaxAhead + time.Second) }, says: "more than 30 days ahead"},
		"a clock far behind":     {want: func(w *Wanted) { w.Now = now.AddDate(-1, 0, 0) }, says: "or set this computer's clock"},
		"no clock":               {want: func(w *Wanted) { w.Now = time.Time{} }, says: "more than 30 days ahead"},
		"other group":            {change: func(s *Statement) { s.Group = "ward-4" }, says: "is for device group ward-4, and this computer is in device group ward-3"},
		"no group":               {change: func(s *Statement) { s.Group = "" }, says: "is for no device group"},
		"replayed elsewhere":     {want: func(w *Wanted) { w.Group = "lab" }, says: "this computer is in device group lab"},
		"replayed on no group":   {want: func(w *Wanted) { w.Group = "" }, says: "this computer is in no device group"},
		"older version":          {change: func(s *Statement) { s.Version = 11 }, says: "is for version 11 of the policy, and this is version 12"},
		"newer version":          {change: func(s *Statement) { s.Version = 13 }, says: "is for version 13"},
		"other hash":             {change: func(s *Statement) { s.Hash = strings.Repeat("ac", 32) }, says: "1 for other policies"},
		"other signers":          {change: func(s *Statement) { s.Signers = NoSigners }, says: "SHA-256 000000000000..., and the policy's file has cdcdcdcdcdcd"},
		"signers went":           {want: func(w *Wanted) { w.Signers = NoSigners }, says: "the policy's file has 000000000000"},
		"key for something else": {list: strings.ReplaceAll(c.list, " ssh", ` namespaces="file" ssh`), says: "but not for the namespace policy@stepaway"},
		"key not yet":            {list: strings.ReplaceAll(c.list, " ssh", ` valid-after="20260302" ssh`), says: "it is not valid before 2026-03-02T00:00:00Z"},
		"key no more":            {list: strings.ReplaceAll(c.list, " ssh", ` valid-before="20260301" ssh`), says: "it is not valid after 2026-03-01T00:00:00Z"},
		"certificate authority":  {list: strings.ReplaceAll(c.list, " ssh", ` cert-authority ssh`), says: "as a cert-authority, which is not supported"},
		"no signers in force":    {list: "# nobody\n", says: "do not have the key"},
	} {
		for _, bad := range []Act{Sign, Approve} {
			files := map[Act][]byte{}
			for act, by := range map[Act]string{Sign: "alice", Approve: "bob"} {
				s, key := statementOf(act, by), c.alice
				if act == Approve {
					key = c.bob
				}
				if act == bad {
					if x.change != nil {
						x.change(&s)
					}
					if x.key.sign != nil {
						key = x.key
					}
				}
				files[act] = key.file(s)
			}
			w, list := wantedBy(), c.list
			if x.want != nil {
				x.want(&w)
			}
			if x.list != "" {
				list = x.list
			}
			_, err := c.check(list, w, files[Sign], files[Approve])
			var r *Refusal
			if !errors.As(err, &r) || !errors.Is(err, ErrNotApproved) || !strings.Contains(err.Error(), x.says) {
				t.Errorf("%s (%s): %v, want %q", what, bad, err, x.says)
			}
		}
	}
}

// TestBoundsOfTime: the last instant at which a statement counts, and the longest time ahead.
func TestBoundsOfTime(t *testing.T) {
	c := people(t)
	s, a := statementOf(Sign, "alice"), statementOf(Approve, "bob")
	for at, want := range map[time.Time]bool{
		s.Expires.Add(-time.Nanosecond): true, s.Expires: false, s.Expires.Add(-MaxAhead): true, s.Expires.Add(-MaxAhead - time.Nanosecond): false,
	} {
		w := wantedBy()
		w.Now = at
		if _, err := c.check(c.list, w, c.alice.file(s), c.bob.file(a)); (err == nil) != want {
			t.Errorf("at %v: %v, want %v", at, err, want)
		}
	}
}

// TestRefusalIsPrintable: names of files and what stands in them may hold anything.
func TestRefusalIsPrintable(t *testing.T) {
	c := people(t)
	files := []File{{"/etc/\x1b[31m\n\u202e.approval", []byte("\x1b[2J")}, {strings.Repeat("x", 5000), []byte("by: \u202e" + begin)}}
	for i := range 200 {
		s := statementOf(Sign, "alice")
		s.Version = i + 100
		files = append(files, File{fmt.Sprint(i), c.alice.file(s)})
	}
	_, err := Check(files, signersOf(t, c.list), wantedBy())
	var r *Refusal
	if !errors.As(err, &r) || len(r.Files) != len(files) || len(r.Missing) != 2 {
		t.Fatalf("%v", err)
	}
	text := err.Error()
	if strings.ContainsAny(text, "\x1b\n\u202e") || len(text) > 4000 || !strings.Contains(text, "and 194 more that do not count") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}
