package uplink

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"stepaway/audit"
)

// FuzzDecode gives every message what comes. What is taken is at most so long, is written again as a message that is taken,
// and an acknowledgement or a time counts only with the signature.
func FuzzDecode(f *testing.F) {
	pub, key, _ := ed25519.GenerateKey(nil)
	ack := Ack{Device: "ws-1", Epoch: "00000000000000aa", Last: 7, Hash: audit.Zero}.Sign(key)
	nonce := strings.Repeat("0a", 16)
	for _, m := range []any{ack, Time{Nonce: nonce, Unix: 1}.Sign(key), Batch{Device: "ws-1", Epoch: "00000000000000aa", Acked: &ack, Events: []json.RawMessage{[]byte("{}")}},
		Enroll{Secret: "s", CSR: "c"}, Renew{CSR: "c"}, Granted{Device: "ws-1", Cert: "c", CA: "c", AckKey: "k"}, About{Device: "ws-1", AckKey: "k"}, Refusal{Code: "busy"}} {
		body, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	for _, s := range []string{"", "null", "{}", "[]", `{"device":"ws-1","device":"ws-2"}`, `{"last":-1}`, `{"last":1e400}`, `{"last":18446744073709551616}`,
		`{"events":[{},null,[],"x"]}`, `{"acked":{"acked":{}}}`, strings.Repeat("[", 10_000), "\xff\xfe", `{"code":"\ud800"}`, "{} {}", "\ufeff{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range []any{&Batch{}, &Ack{}, &Time{}, &Enroll{}, &Renew{}, &Granted{}, &About{}, &Refusal{}} {
			if Decode(bytes.NewReader(body), MaxAsk, m) != nil {
				continue
			}
			if len(body) > MaxAsk {
				t.Fatalf("%d bytes were taken", len(body))
			}
			again, err := json.Marshal(m)
			if err != nil {
				t.Fatalf("%T: %v", m, err)
			}
			if err := Decode(bytes.NewReader(again), MaxBatch, m); err != nil {
				t.Fatalf("%T: %s: %v", m, again, err)
			}
			switch m := m.(type) {
			case *Ack:
				if m.Verify(pub) && *m != ack {
					t.Fatalf("%+v", m)
				}
			case *Time:
				if m.Verify(pub, nonce) && m.Unix != 1 {
					t.Fatalf("%+v", m)
				}
			}
		}
	})
}

func TestTimeIsBoundToAllOfIt(t *testing.T) {
	pub, key, _ := ed25519.GenerateKey(nil)
	other, _, _ := ed25519.GenerateKey(nil)
	nonce := strings.Repeat("0a", 16)
	a := Time{Nonce: nonce, Unix: 1_800_000_000}.Sign(key)
	if !a.Verify(pub, nonce) || a.Verify(other, nonce) || a.Verify(nil, nonce) || a.Verify(pub, strings.Repeat("0b", 16)) {
		t.Fatal("signature does not tell")
	}
	for i, change := range []func(*Time){func(t *Time) { t.Unix++ }, func(t *Time) { t.Nonce = strings.Repeat("0b", 16) }, func(t *Time) { t.Sig = "" }} {
		b := a
		change(&b)
		if b.Verify(pub, b.Nonce) {
			t.Errorf("change %d goes unnoticed", i)
		}
	}
	// One key signs acknowledgements and times: neither can be taken for the other.
	k := Ack{Device: "ws-1", Epoch: nonce, Last: 1, Hash: audit.Zero}.Sign(key)
	if (Time{Nonce: nonce, Unix: 1, Sig: k.Sig}).Verify(pub, nonce) {
		t.Error("an acknowledgement is a time")
	}
}

func TestNonces(t *testing.T) {
	for s, ok := range map[string]bool{strings.Repeat("a", 32): true, strings.Repeat("0", 64): true, strings.Repeat("a", 31): false,
		strings.Repeat("a", 65): false, strings.Repeat("A", 32): false, "": false, strings.Repeat("g", 32): false} {
		if err := CheckNonce(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}
