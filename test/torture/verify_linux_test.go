package torture

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"stepaway/audit"
	"stepaway/uplink"
)

// edited is a spool's file, opened to be changed.
type edited struct {
	t    *testing.T
	dir  string // of the courier
	tx   *bolt.Tx
	head map[string]any // the state in the file
}

func (e *edited) events() *bolt.Bucket { return e.tx.Bucket([]byte("events")) }

func seqKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func (e *edited) body(n uint64) []byte {
	b := append([]byte(nil), e.events().Get(seqKey(n))...)
	if len(b) == 0 {
		e.t.Fatalf("no event %d", n)
	}
	return b
}

func (e *edited) put(n uint64, body []byte) {
	if err := e.events().Put(seqKey(n), body); err != nil {
		e.t.Fatal(err)
	}
}

// chain makes every event from n on continue the one before it again, and the state fit, as a careful forger would.
func (e *edited) chain(n uint64) {
	prev := audit.Hash(e.body(n - 1))
	for ; e.events().Get(seqKey(n)) != nil; n++ {
		var ev audit.Event
		if err := json.Unmarshal(e.body(n), &ev); err != nil {
			e.t.Fatal(err)
		}
		ev.Seq, ev.Prev = n, prev
		body, hash, err := audit.Encode(ev)
		if err != nil {
			e.t.Fatal(err)
		}
		e.put(n, body)
		prev = hash
	}
	e.head["Head"], e.head["HeadHash"] = n-1, prev
}

// edit opens the spool of a courier that is stopped and has f change it.
func edit(t *testing.T, dir string, f func(*edited)) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "spool", "spool.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		e := &edited{t: t, dir: dir, tx: tx}
		meta := tx.Bucket([]byte("meta"))
		if err := json.Unmarshal(meta.Get([]byte("state")), &e.head); err != nil {
			return err
		}
		f(e)
		b, err := json.Marshal(e.head)
		if err != nil {
			return err
		}
		return meta.Put([]byte("state"), b)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// note changes what is noted beside the spool.
func note(t *testing.T, dir string, f func(map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, "spool", "ack.json")
	b, err := os.ReadFile(path)
	v := map[string]any{}
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	f(v)
	if b, err = json.Marshal(v); err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAuditVerify changes a spool of which 30 events are acknowledged and 30 wait, with the means of somebody who knows its
// format and has root's rights but not the collector's key, and asks the program what it thinks.
func TestAuditVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, filepath.Join(t.TempDir(), "state"))
	w.startCourier()
	w.add(20, audit.LockProved)
	w.delivered()
	w.stopCourier()
	old := filepath.Join(t.TempDir(), "old")
	cp(t, w.state, old)
	w.startCourier()
	w.add(10, audit.LockProved)
	w.delivered()
	w.stopCollector()
	w.add(30, audit.LockProved)
	acked := w.status().Acked
	w.stopCourier()
	_, foreign, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, dir string)
		says string // nothing: sound
	}{
		"nothing": {func(*testing.T, string) {}, ""},
		"an event altered": {func(t *testing.T, dir string) {
			edit(t, dir, func(e *edited) {
				e.put(acked+5, []byte(strings.Replace(string(e.body(acked+5)), "nurse", "purse", 1)))
			})
		}, "does not continue"},
		"an event altered, and the chain from there": {func(t *testing.T, dir string) {
			edit(t, dir, func(e *edited) {
				e.put(acked+1, []byte(strings.Replace(string(e.body(acked+1)), "nurse", "purse", 1)))
				e.chain(acked + 2)
				e.head["Acked"], e.head["AckedHash"] = acked+1, audit.Hash(e.body(acked+1))
				e.head["Freed"], e.head["FreedHash"] = e.head["Acked"], e.head["AckedHash"]
			})
		}, "did not sign"},
		"an event cut out": {func(t *testing.T, dir string) {
			edit(t, dir, func(e *edited) {
				if err := e.events().Delete(seqKey(acked + 7)); err != nil {
					t.Fatal(err)
				}
			})
		}, "does not continue"},
		"the last events cut off": {func(t *testing.T, dir string) {
			edit(t, dir, func(e *edited) {
				for n := acked + 20; e.events().Get(seqKey(n)) != nil; n++ {
					if err := e.events().Delete(seqKey(n)); err != nil {
						t.Fatal(err)
					}
				}
			})
		}, "the chain ends at"},
		"the last events cut off, and the state": {func(t *testing.T, dir string) {
			edit(t, dir, func(e *edited) {
				for n := acked + 20; e.events().Get(seqKey(n)) != nil; n++ {
					if err := e.events().Delete(seqKey(n)); err != nil {
						t.Fatal(err)
					}
				}
				e.head["Head"], e.head["HeadHash"] = acked+19, audit.Hash(e.body(acked+19))
			})
		}, "older than the note"}, // noted when the courier stopped
		"two events swapped": {func(t *testing.T, dir string) {
			edit(t, dir, func(e *edited) {
				a, b := e.body(acked+3), e.body(acked+4)
				e.put(acked+3, b)
				e.put(acked+4, a)
			})
		}, "does not continue"},
		"bytes flipped": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "spool", "spool.db")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = []byte(strings.ReplaceAll(string(b), `"role":"clinical"`, `"role":"clinicaX"`))
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "does not continue"},
		"cut in half": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "spool", "spool.db")
			info, err := os.Stat(path)
			if err == nil {
				err = os.Truncate(path, info.Size()/2/4096*4096)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "damaged"},
		"acknowledged without a signature": {func(t *testing.T, dir string) {
			edit(t, dir, func(e *edited) { e.head["Proof"] = "" })
		}, "the spool says"},
		"acknowledged by a foreign key": {func(t *testing.T, dir string) {
			edit(t, dir, func(e *edited) {
				e.head["Acked"], e.head["AckedHash"] = acked+10, audit.Hash(e.body(acked+10))
				e.head["Proof"] = uplink.Ack{Device: "ws-1", Epoch: e.head["Epoch"].(string), Last: acked + 10,
					Hash: e.head["AckedHash"].(string)}.Sign(foreign).Sig
			})
		}, "did not sign"},
		"acknowledged further than was signed": {func(t *testing.T, dir string) {
			edit(t, dir, func(e *edited) {
				e.head["Acked"], e.head["AckedHash"] = acked+10, audit.Hash(e.body(acked+10))
			})
		}, "did not sign"},
		"an old copy": {func(t *testing.T, dir string) {
			cp(t, filepath.Join(old, "spool", "spool.db"), filepath.Join(dir, "spool", "spool.db"))
		}, "older than the note"},
		"the note removed": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "spool", "ack.json")); err != nil {
				t.Fatal(err)
			}
		}, "missing"},
		"the note set forth": {func(t *testing.T, dir string) { note(t, dir, func(v map[string]any) { v["last"] = acked + 1 }) },
			"older than the note"},
		"the note set back": {func(t *testing.T, dir string) { note(t, dir, func(v map[string]any) { v["last"] = acked - 1 }) },
			"the note beside it says"},
		"the note with another hash": {func(t *testing.T, dir string) {
			note(t, dir, func(v map[string]any) { v["hash"] = strings.Repeat("0", 64) })
		}, "another hash in the note"},
		"the note signed by a foreign key": {func(t *testing.T, dir string) {
			note(t, dir, func(v map[string]any) {
				v["proof"] = base64.StdEncoding.EncodeToString(ed25519.Sign(foreign, []byte("x")))
			})
		}, "the note beside it says"},
		"the note as garbage": {func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "spool", "ack.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "the note beside the spool"},
		"enrolled nowhere": {func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "identity")); err != nil {
				t.Fatal(err)
			}
		}, "did not sign"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			cp(t, w.state, dir)
			c.do(t, dir)
			out, errs, code := w.call("courier", "audit", "verify", "--json", "--state", dir)
			var v struct {
				OK     bool
				Damage string
				Acked  uint64
				Events int
			}
			if err := json.Unmarshal([]byte(out), &v); err != nil {
				t.Fatalf("%s%s", out, errs)
			}
			switch {
			case c.says == "" && (code != 0 || !v.OK || v.Damage != "" || v.Acked != acked || v.Events < 30):
				t.Errorf("%d %s%s", code, out, errs)
			case c.says != "" && (code != 1 || v.OK || !strings.Contains(v.Damage, c.says) || strings.Count(errs, "\n") != 1):
				t.Errorf("%d %s%s", code, out, errs)
			}
		})
	}
}
