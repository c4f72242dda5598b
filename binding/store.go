package binding

import (
	"context"
	"database/sql"
	"iter"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/state"
)

// A store is the table as state.Journal sees it.
type store struct {
	db    *sql.DB
	table *Table
	opts  JournalOptions
}

// Prepare makes the journal's table.
func (s *store) Prepare(ctx context.Context) error {
	return state.Prepare(ctx, s.db, "binding", journalVersion, `CREATE TABLE IF NOT EXISTS binding (
		id        TEXT PRIMARY KEY,
		aor       TEXT NOT NULL,
		contact   TEXT NOT NULL,
		transport TEXT NOT NULL,
		remote    TEXT NOT NULL,    -- address:port
		conn      INTEGER NOT NULL, -- in the process that wrote it
		listener  TEXT NOT NULL,    -- transport:address:port
		side      INTEGER NOT NULL,
		nat       INTEGER NOT NULL,
		expires   INTEGER NOT NULL  -- Unix milliseconds
	) STRICT, WITHOUT ROWID`)
}

// load brings the live bindings back and forgets the expired ones.
func (s *store) load(ctx context.Context, now time.Time) (restored, left int, err error) {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM binding WHERE expires <= ?`, now.UnixMilli()); err != nil {
		return 0, 0, err
	}
	rows, err := s.db.QueryContext(ctx, `SELECT id, aor, contact, transport, remote, listener, side, nat, expires FROM binding`)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.aor, &r.contact, &r.transport, &r.remote, &r.listener, &r.side, &r.nat, &r.expires); err != nil {
			return 0, 0, err
		}
		b, ok := r.binding(s.opts.Index)
		if ok && s.table.Put(b, now) == nil {
			restored++
		} else {
			left++
		}
	}
	return restored, left, rows.Err()
}

// row is a binding as the database has it.
type row struct {
	id, aor, contact, transport, remote, listener string
	side                                          int64
	nat                                           bool
	expires                                       int64
}

// binding reads a row. It returns false for a row that makes no sense or whose listener has no like.
func (r *row) binding(index func(string) (uint16, bool)) (Binding, bool) {
	id, ok := ParseID([]byte(r.id))
	remote, err := netip.ParseAddrPort(r.remote)
	if !ok || err != nil || r.side < int64(edge.Outside) || r.side > int64(edge.Inside) {
		return Binding{}, false
	}
	listener, ok := index(r.listener)
	if !ok {
		return Binding{}, false
	}
	flow := edge.Flow{Remote: remote, Listener: listener, Side: edge.Side(r.side)}
	for flow.Transport.String() != r.transport {
		if flow.Transport++; flow.Transport == edge.Transports {
			return Binding{}, false
		}
	}
	if flow.Transport.Stream() {
		flow.Conn = GoneConn
	}
	return Binding{ID: id, AOR: r.aor, Contact: r.contact, Flow: flow, Expires: time.UnixMilli(r.expires), NAT: r.nat}, true
}

// Begin prepares writing bindings in one transaction.
func (s *store) Begin(ctx context.Context, tx *sql.Tx) (func(ID) error, error) {
	put, err := tx.PrepareContext(ctx, `INSERT OR REPLACE INTO binding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return nil, err
	}
	del, err := tx.PrepareContext(ctx, `DELETE FROM binding WHERE id = ?`)
	if err != nil {
		return nil, err
	}
	set := s.table.clock.set(time.Now())
	return func(id ID) error {
		b, ok := s.table.read(id)
		if !ok { // it is no longer in the table
			_, err := del.ExecContext(ctx, id.String())
			return err
		}
		_, err := put.ExecContext(ctx, id.String(), b.AOR, b.Contact, b.Flow.Transport.String(),
			b.Flow.Remote.String(), int64(b.Flow.Conn), s.opts.Name(b.Flow.Listener), b.Flow.Side, b.NAT, b.Expires.Add(set).UnixMilli())
		return err
	}, nil
}

// Clear deletes every row.
func (s *store) Clear(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM binding`)
	return err
}

// Keys yields the ids of all bindings.
func (s *store) Keys() iter.Seq[ID] {
	return func(yield func(ID) bool) {
		for i := range s.table.shards {
			for _, id := range s.table.shards[i].ids() {
				if !yield(id) {
					return
				}
			}
		}
	}
}

// read returns the binding with this id, live or not, for the journal: a change from now on is to be marked again.
func (t *Table) read(id ID) (Binding, bool) {
	s := t.shardOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.get(id)
	if e == nil {
		return Binding{}, false
	}
	e.bits &^= bitMarked
	return e.binding(), true
}
