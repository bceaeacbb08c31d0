package uplink

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"stepaway/audit"
)

func TestAckIsBoundToAllOfIt(t *testing.T) {
	pub, key, _ := ed25519.GenerateKey(nil)
	other, _, _ := ed25519.GenerateKey(nil)
	a := Ack{Device: "ws-1", Epoch: "00", Last: 7, Hash: audit.Hash([]byte("x"))}.Sign(key)
	if !a.Verify(pub) || a.Verify(other) || a.Verify(nil) {
		t.Fatal("signature does not tell the key")
	}
	for i, change := range []func(*Ack){
		func(a *Ack) { a.Device = "ws-2" }, func(a *Ack) { a.Epoch = "01" }, func(a *Ack) { a.Last++ },
		func(a *Ack) { a.Hash = audit.Zero }, func(a *Ack) { a.Sig = "" }, func(a *Ack) { a.Sig = "!" },
		func(a *Ack) { a.Device, a.Epoch = "ws-1\n00", "" },
	} {
		b := a
		change(&b)
		if b.Verify(pub) {
			t.Errorf("change %d goes unnoticed: %+v", i, b)
		}
	}
}

func TestToken(t *testing.T) {
	tok := Token{Device: "ws-1", CA: strings.Repeat("a", 64), Secret: "s", URL: "https://c:8443"}
	back, err := ParseToken(" " + tok.String() + "\n")
	if err != nil || back != tok {
		t.Fatalf("%+v, %v", back, err)
	}
	for _, s := range []string{"", "sa1.", "sa1.!!!", "x" + tok.String(), tok.String() + "!", tok.String()[:30],
		"sa1." + strings.Repeat("A", 5000), Token{Device: "-x", CA: tok.CA, Secret: "s"}.String(),
		Token{Device: "ws", CA: "short", Secret: "s"}.String(), Token{Device: "ws", CA: tok.CA}.String()} {
		if _, err := ParseToken(s); err == nil {
			t.Errorf("taken for a token: %q", s)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(Token{Device: "ws-1", CA: strings.Repeat("a", 64), Secret: "s"}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if tok, err := ParseToken(s); err == nil && CheckDevice(tok.Device) != nil {
			t.Fatalf("%+v", tok)
		}
	})
}

func TestDecodeIsStrict(t *testing.T) {
	for in, ok := range map[string]bool{
		`{"code":"x"}`: true, `{"code":"x"}` + "\n": true, ``: false, `{`: false, `{"code":"x"}{}`: false,
		`{"code":"x","more":1}`: false, `[]`: false, `{"code":"` + strings.Repeat("x", 100) + `"}`: false,
	} {
		var r Refusal
		if err := Decode(strings.NewReader(in), 64, &r); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestCheckDevice(t *testing.T) {
	for d, ok := range map[audit.Label]bool{"ws-1": true, "a": true, "A.b_c-9": true, "": false, "-a": false, "a b": false,
		"a/b": false, "a\nb": false, "\u00e9": false, audit.Label(strings.Repeat("a", 64)): false} {
		if err := CheckDevice(d); (err == nil) != ok {
			t.Errorf("%q: %v", d, err)
		}
	}
}
