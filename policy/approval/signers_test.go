package approval

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestRuleOfKeygen holds our verdict against that of ssh-keygen -Y verify, line by line. K is the key that signed, L another.
func TestRuleOfKeygen(t *testing.T) {
	key, other := newKey(t, "ed25519"), newKey(t, "ecdsa")
	keys := strings.NewReplacer("K", "\x00", "L", "\x01")
	fill := strings.NewReplacer("\x00", pub(t, key), "\x01", pub(t, other))
	s := statementOf(Sign, "alice")
	file := signed(t, key, s)
	g, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	var took, refused int
	agree := func(lines, zone string, stricter bool) {
		t.Helper()
		allowed := fill.Replace(keys.Replace(lines))
		at, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		list, ps := ParseSigners([]byte(allowed))
		ours := list.Admits(g, now.In(at)) == nil
		theirs := keygenVerify(t, allowed, "alice", Namespace, s.Text(), file[len(s.Text()):], zone, now)
		if ours != (theirs && !stricter) || stricter && !theirs {
			t.Errorf("%q in %s: ours %v, ssh-keygen's %v (%v)", lines, zone, ours, theirs, ps)
		}
		if ours {
			took++
		} else {
			refused++
		}
	}
	for _, lines := range []string{
		"", "\n\n", "# alice K\n", "alice K", "alice K\n", "alice L\n", "bob K\n", "alice L\nalice K\n", "bob K\nalice K\n",
		"alice K comment of more words\n", "  alice\tK\n", "alice K\r\n", "\talice   K  \r\n",
		"ALICE K\n", "alic K\n", "alicex K\n", "a?ice K\n", "alice? K\n", "* K\n", "a* K\n", "*a*c* K\n", "*e K\n", "*x K\n", "?????* K\n", "?????? K\n", "alice* K\n", "**** K\n",
		"bob,alice K\n", "alice,bob K\n", "alice, K\n", ",alice K\n", "bob,,alice K\n", "!alice K\n", "!alice,* K\n", "*,!alice K\n", "!bob,* K\n", "!bob K\n", "!a*,alice K\n", "*,!al K\n",
		`alice namespaces="policy@stepaway" K`, `alice namespaces="file" K`, `alice namespaces="file,policy@*" K`, `alice namespaces="*" K`, `alice namespaces="!policy@stepaway,*" K`,
		`alice namespaces="" K`, `alice NameSpaces="policy@stepaway" K`, `alice namespaces="Policy@stepaway" K`, `alice namespaces="file",namespaces="policy@stepaway" K`,
		`alice namespaces=policy@stepaway K`, `alice namespaces="policy@stepaway K`, `alice namespaces="policy@stepaway"x K`, `alice namespaces="policy@stepaway", K`, `alice namespaces K`,
		`alice namespaces="a\"b,policy@stepaway" K`, `alice namespaces="a b,policy@stepaway" K`, "alice namespaces=\"file\" K\nalice namespaces=\"policy@stepaway\" K\n",
		`alice valid-after="20260301Z" K`, `alice valid-after="20260302Z" K`, `alice valid-before="20260301Z" K`, `alice valid-before="20260302Z" K`,
		`alice valid-after="202603011200Z" K`, `alice valid-after="202603011201Z" K`, `alice valid-before="202603011200Z" K`, `alice valid-before="202603011159Z" K`,
		`alice valid-after="20260301120000Z" K`, `alice valid-after="20260301120001Z" K`, `alice valid-before="20260301120000Z" K`, `alice valid-before="20260301115959Z" K`,
		`alice valid-after="20260101z" K`, `alice valid-after="20260101UTC" K`, `alice valid-after="20260101utc" K`, `alice valid-after="20260101",valid-before="20270101" K`,
		`alice valid-after="20270101Z",valid-before="20250101Z" K`, `alice valid-after="20260101Z",valid-before="20260101Z" K`, `alice valid-after="20250101Z",valid-after="20250101Z" K`,
		`alice valid-after="2026-01-01" K`, `alice valid-after="" K`, `alice valid-after="2026" K`, `alice valid-after="20261301Z" K`, `alice valid-after="20260100Z" K`, `alice valid-after="19690101Z" K`, `alice valid-after="19700101Z" K`,
		`alice valid-before="always" K`, `alice VALID-BEFORE="20270101Z",namespaces="*" K`, `alice valid-before="20270101Z" namespaces="*" K`, `alice valid-before="202701010000 Z" K`,
		"alice cert-authority K\n", "alice cert-authority K\nalice K\n", `alice cert-authority,namespaces="*" K`, `alice cert-authority="x" K`,
		"alice no-touch-required K\n", "alice restrict K\n", "alice foo K\nalice K\n", "alice\n", "alice ssh-ed25519\n", "alice ssh-ed25519 AAAA\nalice K\n", "K\n", "alice x\nalice K\n",
	} {
		agree(lines, "UTC", false)
	}
	for _, zone := range []string{"UTC", "Asia/Kolkata", "America/Phoenix", "Pacific/Kiritimati"} { // none has summer time
		for _, day := range []string{"20260301", "20260302", "202603011200", "202603011729", "202603011730", "202603011731", "202603010500", "202603010501", "202603020159", "202603020201"} {
			agree(fmt.Sprintf("alice valid-after=%q K", day), zone, false)
			agree(fmt.Sprintf("alice valid-before=%q K", day), zone, false)
		}
	}
	for _, lines := range []string{`"alice" K`, "\ufeffbob,alice K\n", "alice K \x02\n", `alice ,namespaces="*" K`, `alice valid-before="20270231Z" K`, `alice valid-before="20270101000060Z" K`} {
		agree(lines, "UTC", true) // where ours is stricter, on purpose
	}
	r := rand.New(rand.NewPCG(1, 2))
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	for range 150 {
		var b strings.Builder
		for range 1 + r.IntN(3) {
			b.WriteString(one("alice", "*", "bob", "a*e", "!alice", "bob,alice", "alice,!bob", "*,!alice", "ali?e") + one(" ", "\t", "  "))
			b.WriteString(one("", "", "", `namespaces="policy@*" `, `namespaces="file" `, `valid-before="20260301Z" `, `valid-after="20260228Z",valid-before="20260401Z" `, "cert-authority ", "bad "))
			b.WriteString(one("K", "K", "L", "ssh-ed25519 AAAA", "") + one("\n", " note\n", "\r\n"))
		}
		agree(b.String(), "UTC", false)
	}
	t.Logf("%d files taken, %d refused, each as by ssh-keygen", took, refused)
	if took < 50 || refused < 50 {
		t.Error("too few of one kind to show anything")
	}
}

func TestProblemsOfSigners(t *testing.T) {
	k := newEd25519(t)
	good := k.line("alice")
	key := strings.TrimSpace(strings.TrimPrefix(good, "alice "))
	kind, data, _ := strings.Cut(key, " ")
	dss := b64([]byte("\x00\x00\x00\x07ssh-dss\x00\x00\x00\x01x"))
	for _, c := range []struct {
		text string
		line int
		says string
	}{
		{"alice " + kind + "\n", 1, "no key: write NAME KEYTYPE KEY"},
		{good + "\n# x\nbob\n", 4, "no key"},
		{"alice " + data + "\n", 1, "no key"},
		{"alice ssh-dss " + dss, 1, `"ssh-dss" may not sign; use ed25519`},
		{"alice ecdsa-sha2-nistp256 " + data, 1, `of the type "ecdsa-sha2-nistp256", and it is ssh-ed25519`},
		{"alice " + kind + " " + data[:len(data)-8], 1, "not a right SSH public key"},
		{"alice " + pub(t, newKey(t, "rsa", "-b", "1024")), 1, "1024 bits may not sign"},
		{"alice cert-authority " + key, 1, "cert-authority is not supported: list the key of each person"},
		{"alice foo=\"\x7f\" " + key, 1, "cannot be printed"},
		{"alice f\x1bo " + key, 1, "cannot be printed"},
		{"alice foo " + key, 1, `unknown option "foo"; known here: namespaces`},
		{"alice namespaces=x " + key, 1, "in double quotes"},
		{"alice namespaces=\"x\"y " + key, 1, "a comma or a space"},
		{"alice valid-before=\"tomorrow\" " + key, 1, `"tomorrow" is not a time; write it like`},
		{"alice valid-before=\"20260101\",valid-after=\"20260101\" " + key, 1, "not later"},
		{"alice namespaces=\"a\",namespaces=\"b\" " + key, 1, "twice"},
		{"\"alice\" " + key, 1, "quotes around names"},
		{"\ufeff" + good, 1, "cannot be printed"},
		{strings.Repeat("#", MaxSigners+1), 0, "larger than 256 KiB"},
		{strings.Repeat(good, maxKeys+5), maxKeys + 1, "more than 1024 keys"},
	} {
		_, ps := ParseSigners([]byte(c.text))
		if len(ps) != 1 || ps[0].Line != c.line || !strings.Contains(ps[0].String(), c.says) {
			t.Errorf("%.80q: %v, want line %d, %q", c.text, ps, c.line, c.says)
		}
	}
	if _, ps := ParseSigners([]byte(strings.Repeat("x\n", 1000))); len(ps) != maxProblems {
		t.Errorf("%d problems, want %d", len(ps), maxProblems)
	}
}

func TestSignersSum(t *testing.T) {
	for text, want := range map[string]string{
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	} {
		if got := SignersSum([]byte(text)); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
	if got := SignersSum(nil); got != NoSigners || !sum(got) {
		t.Errorf("no file: %s", got)
	}
}

// TestPatternsAreNeverSlow: a pattern made to try every way of matching is done at once.
func TestPatternsAreNeverSlow(t *testing.T) {
	began := time.Now()
	if fit(strings.Repeat("a*", 100_000)+"b", strings.Repeat("a", 64)) {
		t.Error("fits")
	}
	if fit(strings.Repeat("*a", 32)+"*b*", strings.Repeat("a", 64)) {
		t.Error("fits")
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("took %v", d)
	}
}

func FuzzParseSigners(f *testing.F) {
	k := newEd25519(f)
	s := statementOf(Sign, "alice")
	g, err := Parse(k.file(s))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(k.line("alice")))
	f.Add([]byte(k.line("*,!bob namespaces=\"policy@*\",valid-after=\"20260101\",valid-before=\"20270101Z\"")))
	f.Add([]byte("# x\n\r\n" + k.line("bob cert-authority") + "alice\nalice x=\"\\\"\" y"))
	f.Add([]byte(securityKey(f, "sk-ecdsa-sha2-nistp256@openssh.com", 1).line("c")))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ps := ParseSigners(b)
		for _, p := range ps {
			for _, r := range p.String() {
				if r < ' ' || r == 0x7f {
					t.Errorf("the problem of line %d holds %q", p.Line, r)
				}
			}
		}
		if err := s.Admits(g, now); err == nil && !strings.Contains(string(b), b64([]byte(g.key))) {
			t.Errorf("%q admits a key that it does not hold", b)
		}
	})
}
