package collector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// takeRetry takes arrivals in one transaction, again and again while what failed may pass.
func (p *postgres) takeRetry(ts []*taking) error {
	look := false
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return p.retry(ctx, func(ctx context.Context) error {
		for {
			err := p.takeOnce(ctx, ts, look)
			var pg *pgconn.PgError
			switch {
			case !errors.As(err, &pg):
				return err
			case pg.Code == "23505" && !look: // an event beyond the head is there: look what it is
				look = true
			case pg.Code == "23514" && pg.ConstraintName == "": // no partition: another collector removed it, or the month is new
				if err := p.partitions(ctx, ts, true); err != nil {
					return err
				}
				return errPartition
			default:
				return err
			}
		}
	})
}

var errPartition = errors.New("a partition of the table of events was missing")

func (p *postgres) takeOnce(ctx context.Context, ts []*taking, look bool) error {
	if err := p.partitions(ctx, ts, false); err != nil {
		return err
	}
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // a connection in the middle of a transaction is not used again
	x := &pgShelf{ctx: ctx, conn: conn.Conn()}
	x.queue("BEGIN")
	if err := takeAll(x, ts, look); err != nil {
		x.batch = pgx.Batch{}
		x.queue("ROLLBACK")
		_ = x.send()
		return err
	}
	x.queue("COMMIT")
	return x.send()
}

// pgShelf is one transaction. What needs no answer is queued and goes out together with what does.
type pgShelf struct {
	ctx   context.Context
	conn  *pgx.Conn
	batch pgx.Batch
}

func (x *pgShelf) queue(query string, args ...any) *pgx.QueuedQuery {
	return x.batch.Queue(query, args...)
}

// send sends what is queued and waits for every answer.
func (x *pgShelf) send() error {
	if x.batch.Len() == 0 {
		return nil
	}
	err := x.conn.SendBatch(x.ctx, &x.batch).Close()
	x.batch = pgx.Batch{}
	return err
}

const (
	// A row that is there is locked and left as it is; one that is not is made, and unknown to this transaction.
	pgLockHeads = `INSERT INTO epochs (device, epoch, first, last, hash, since)
		SELECT device, epoch, 0, -1, '', now() FROM unnest($1::text[], $2::text[]) AS t (device, epoch)
		ON CONFLICT (device, epoch) DO UPDATE SET last = epochs.last WHERE false`
	pgHeads = `SELECT t.n, e.first, e.last, e.hash FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t (device, epoch, n)
		JOIN epochs e USING (device, epoch)`
	pgInsert = `INSERT INTO events (device, epoch, seq, hash, type, wall, received, body)
		SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::bytea[])`
	pgAside = `INSERT INTO conflicts (device, epoch, seq, hash, type, wall, received, body)
		SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::bytea[])
		AS t (device, epoch, seq, hash, type, wall, received, body)
		WHERE (SELECT count(*) FROM conflicts c WHERE c.device = $1[1]) < $9 ON CONFLICT DO NOTHING`
	pgSaveHeads = `UPDATE epochs e SET first = t.first, last = t.last, hash = t.hash, since = CASE WHEN e.last < 0 THEN t.since ELSE e.since END
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[]) AS t (device, epoch, first, last, hash, since)
		WHERE e.device = t.device AND e.epoch = t.epoch`
	pgSeen = `INSERT INTO devices (device, enrolled, seen) SELECT device, max(seen), max(seen)
		FROM unnest($1::text[], $2::timestamptz[]) AS t (device, seen) GROUP BY device ORDER BY device
		ON CONFLICT (device) DO UPDATE SET seen = excluded.seen`
	pgHole   = "INSERT INTO holes (device, epoch, first, last, noticed) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
	pgStored = "SELECT seq, hash FROM events WHERE device = $1 AND epoch = $2 AND seq BETWEEN $3 AND $4"
	pgGone   = "SELECT first, last FROM removals WHERE device = $1 AND epoch = $2 AND NOT aside"
)

func (x *pgShelf) heads(ts []*taking) error {
	devices, epochs := make([]string, len(ts)), make([]string, len(ts))
	for i, t := range ts {
		devices[i], epochs[i] = string(t.Device), t.Epoch
	}
	x.queue(pgLockHeads, devices, epochs)
	found := 0
	x.queue(pgHeads, devices, epochs).Query(func(rows pgx.Rows) error {
		var n, first, last int64
		var hash string
		_, err := pgx.ForEachRow(rows, []any{&n, &first, &last, &hash}, func() error {
			t := ts[n-1]
			t.known, t.first, t.held = last >= 0, uint64(first), Held{Last: uint64(max(last, 0)), Hash: hash}
			found++
			return nil
		})
		return err
	})
	if err := x.send(); err != nil {
		return err
	}
	if found != len(ts) {
		return fmt.Errorf("%d of %d epochs found after they were locked", found, len(ts))
	}
	return nil
}

func (x *pgShelf) stored(t *taking) (map[uint64]string, error) {
	from, to := t.Events[0].Seq, t.Events[len(t.Events)-1].Seq
	hashes := map[uint64]string{}
	x.queue(pgGone, string(t.Device), t.Epoch).Query(func(rows pgx.Rows) error {
		var first, last uint64
		_, err := pgx.ForEachRow(rows, []any{&first, &last}, func() error {
			for n := max(first, from); n <= min(last, to); n++ {
				hashes[n] = removed
			}
			return nil
		})
		return err
	})
	x.queue(pgStored, string(t.Device), t.Epoch, int64(from), int64(to)).Query(func(rows pgx.Rows) error {
		var seq uint64
		var hash string
		_, err := pgx.ForEachRow(rows, []any{&seq, &hash}, func() error { hashes[seq] = hash; return nil })
		return err
	})
	return hashes, x.send()
}

// columns are events as arrays, one for each column.
type columns struct {
	devices, epochs []string
	seqs            []int64
	hashes, types   []string
	walls, received []time.Time
	bodies          [][]byte
}

func (c *columns) add(t *taking, es []Event) {
	for _, e := range es {
		c.devices, c.epochs = append(c.devices, string(t.Device)), append(c.epochs, t.Epoch)
		c.seqs, c.hashes, c.types = append(c.seqs, int64(e.Seq)), append(c.hashes, e.Hash), append(c.types, string(e.Type))
		c.walls, c.received = append(c.walls, e.Wall), append(c.received, t.Received)
		c.bodies = append(c.bodies, e.Body)
	}
}

func (c *columns) args() []any {
	return []any{c.devices, c.epochs, c.seqs, c.hashes, c.types, c.walls, c.received, c.bodies}
}

// put queues what was decided; it goes out with the commit.
func (x *pgShelf) put(ts []*taking) error {
	var all columns
	for _, t := range ts {
		all.add(t, t.insert)
	}
	if len(all.seqs) > 0 {
		x.queue(pgInsert, all.args()...)
	}
	for _, t := range ts {
		if len(t.aside) > 0 {
			var c columns
			c.add(t, t.aside)
			x.queue(pgAside, append(c.args(), maxAside)...)
		}
		if h := t.hole; h != nil {
			x.queue(pgHole, string(h.Device), h.Epoch, int64(h.First), int64(h.Last), h.Noticed)
		}
	}
	x.save(ts)
	return nil
}

func (x *pgShelf) save(ts []*taking) {
	var devices, epochs, hashes []string
	var first, last []int64
	var now []time.Time
	for _, t := range ts {
		if t.moved {
			devices, epochs, hashes = append(devices, string(t.Device)), append(epochs, t.Epoch), append(hashes, t.held.Hash)
			first, last, now = append(first, int64(t.first)), append(last, int64(t.held.Last)), append(now, t.Received)
		}
	}
	if len(devices) > 0 {
		x.queue(pgSaveHeads, devices, epochs, first, last, hashes, now)
		x.queue(pgSeen, devices, now)
	}
}
