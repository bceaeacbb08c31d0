package spool

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"stepaway/audit"
)

var (
	metaBucket   = []byte("meta")
	eventBucket  = []byte("events")
	originBucket = []byte("origins")
	stateKey     = []byte("state")
)

// format is the version of the file's layout.
const format = 1

// stored is the one value in the meta bucket: everything that changes with an event.
type stored struct {
	Format int
	State
	Previous string      // the epoch before this one
	Bound    string      `json:",omitempty"` // Options.Bound and Device when the epoch began
	Device   audit.Label `json:",omitempty"`
	Adopt    bool        // the epoch began by a loss: the next run unknown to us may be older than we are
	Drops    []drop      `json:",omitempty"`
	Heard    uint64      `json:",omitempty"` // how often an event of a run was stored: it orders the runs over all epochs
}

// txn is one transaction on the file.
type txn struct {
	o       *Options
	tx      *bolt.Tx
	meta    *bolt.Bucket
	events  *bolt.Bucket
	origins *bolt.Bucket
	st      stored
	room    int64 // bytes left for anything, as of the start of the transaction
	dirty   bool
	known   decoded
}

// decoded is a state and what it was read from or written as: to read it anew is a good part of what an event costs.
type decoded struct {
	from []byte
	st   stored
}

// load reads the state, which is the zero value in a new file.
func load(tx *bolt.Tx, o *Options, known decoded) (*txn, error) {
	x := &txn{o: o, tx: tx, known: known}
	err := errors.Join(x.bucket(&x.meta, metaBucket), x.bucket(&x.events, eventBucket), x.bucket(&x.origins, originBucket))
	if err != nil {
		return nil, err
	}
	x.events.FillPercent = 0.95
	if err := x.read(); err != nil {
		return nil, err
	}
	free := tx.DB().Stats()
	x.room = o.MaxBytes - tx.Size() + int64(free.FreePageN+free.PendingPageN)*int64(tx.DB().Info().PageSize)
	return x, nil
}

func (x *txn) bucket(b **bolt.Bucket, name []byte) (err error) {
	if *b = x.tx.Bucket(name); *b == nil {
		*b, err = x.tx.CreateBucket(name)
	}
	if err != nil {
		return fmt.Errorf("make bucket %s: %w", name, err)
	}
	return nil
}

// read fills in the state, which a new file has none of.
func (x *txn) read() error {
	v := x.meta.Get(stateKey)
	if v == nil {
		return nil
	}
	if x.known.from != nil && bytes.Equal(v, x.known.from) {
		x.st = x.known.st
		x.st.Drops = slices.Clone(x.st.Drops) // the maps are never changed, see moveSink and missed
		return nil
	}
	if err := json.Unmarshal(v, &x.st); err != nil || x.st.Format != format {
		return fmt.Errorf("%w: state unreadable", ErrDamaged)
	}
	if x.st.FreedHash == "" { // written before there were sinks
		x.st.Freed, x.st.FreedHash = x.st.Acked, x.st.AckedHash
	}
	return nil
}

func (x *txn) save() error {
	x.st.Format = format
	v, err := json.Marshal(x.st)
	if err != nil {
		return err
	}
	x.known = decoded{v, x.st}
	return x.meta.Put(stateKey, v)
}

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func keySeq(k []byte) uint64 {
	if len(k) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}

// newEpoch starts numbering anew. Events still in the file must have been taken out.
func (x *txn) newEpoch() {
	var id [8]byte
	rand.Read(id[:])
	x.st.Previous, x.st.Bound, x.st.Device = x.st.Epoch, x.o.Bound, x.o.Device
	names := x.sinks()
	x.st.State = State{Epoch: hex.EncodeToString(id[:]), HeadHash: audit.Zero, AckedHash: audit.Zero, FreedHash: audit.Zero,
		Sinks: map[string]uint64{}, Missed: x.st.Missed}
	for _, name := range names {
		x.st.Sinks[name] = 0
	}
	x.dirty = true
}

// put numbers, chains and writes one event, or in the place of one that cannot be encoded the event that says so.
func (x *txn) put(e audit.Event) error {
	e = x.finish(e)
	body, hash, err := audit.Encode(e)
	if err != nil || len(body) > audit.MaxEncoded {
		e = x.finish(x.malformed(e))
		body, hash, err = audit.Encode(e)
	}
	if err != nil {
		return err
	}
	if err := x.events.Put(key(e.Seq), body); err != nil {
		return fmt.Errorf("put event %d: %w", e.Seq, err)
	}
	x.st.Head, x.st.HeadHash = e.Seq, hash
	x.room -= cost(body)
	x.dirty = true
	return nil
}

// finish fills in what the spool adds to an event.
func (x *txn) finish(e audit.Event) audit.Event {
	e.Device, e.Site, e.Unit = x.o.Device, x.o.Site, x.o.Unit
	e.Epoch, e.Seq, e.Prev = x.st.Epoch, x.st.Head+1, x.st.HeadHash
	e.Wall = e.Wall.UTC()
	return e
}

// own makes an event of the spool itself.
func (x *txn) own(t audit.Type, f audit.Facts) audit.Event {
	e := x.o.Stamp(t)
	e.Facts = &f
	return e
}

// ack moves the acknowledged position to last and deletes up to ackStep events that nobody waits for; more says that some
// remain.
func (x *txn) ack(last uint64, hash, proof string) (more bool, err error) {
	if last > x.st.Acked {
		if err := x.checkAck(last, hash); err != nil {
			return false, err
		}
		x.st.Acked, x.st.AckedHash, x.st.Proof = last, hash, proof
		x.dirty = true
	}
	if last < x.st.Acked || hash != x.st.AckedHash {
		return false, fmt.Errorf("%w: number %d, already acknowledged up to %d", ErrAck, last, x.st.Acked)
	}
	return x.free()
}

func (x *txn) checkAck(last uint64, hash string) error {
	body := x.events.Get(key(last))
	switch {
	case last > x.st.Head:
		return fmt.Errorf("%w: number %d, the last one written is %d", ErrAck, last, x.st.Head)
	case body == nil:
		return fmt.Errorf("%w: event %d is missing", ErrDamaged, last)
	case audit.Hash(body) != hash:
		return fmt.Errorf("%w: another hash than that of event %d", ErrAck, last)
	}
	return nil
}

// deleteTo deletes at most limit events up to last.
func (x *txn) deleteTo(last uint64, limit int) (n int, err error) {
	end := key(last)
	c := x.events.Cursor()
	for k, _ := c.First(); k != nil && n < limit && bytes.Compare(k, end) <= 0; k, _ = c.First() {
		if err := c.Delete(); err != nil {
			return n, fmt.Errorf("delete an acknowledged event: %w", err)
		}
		n++
		x.dirty = true
	}
	return n, nil
}
