package binding

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// prepare makes the journal's table. Each room that keeps state in the file notes the version of its own tables.
func (j *Journal) prepare(ctx context.Context) error {
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS room_version (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT`,
		`INSERT OR IGNORE INTO room_version VALUES ('binding', ` + fmt.Sprint(journalVersion) + `)`,
		`CREATE TABLE IF NOT EXISTS binding (
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
		) STRICT, WITHOUT ROWID`,
	} {
		if _, err := j.db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	var version int
	err := j.db.QueryRowContext(ctx, `SELECT version FROM room_version WHERE room = 'binding'`).Scan(&version)
	if err == nil && version != journalVersion {
		err = fmt.Errorf("the state file holds version %d, this ringwall knows version %d: use the newer ringwall, or move the file away", version, journalVersion)
	}
	return err
}

// load brings the live bindings back and forgets the expired ones.
func (j *Journal) load(ctx context.Context, now time.Time) error {
	if _, err := j.db.ExecContext(ctx, `DELETE FROM binding WHERE expires <= ?`, now.UnixMilli()); err != nil {
		return err
	}
	rows, err := j.db.QueryContext(ctx, `SELECT id, aor, contact, transport, remote, listener, side, nat, expires FROM binding`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.aor, &r.contact, &r.transport, &r.remote, &r.listener, &r.side, &r.nat, &r.expires); err != nil {
			return err
		}
		b, ok := r.binding(j.opts.Index)
		if ok && j.table.Put(b, now) == nil {
			j.restored++
		} else {
			j.left++
		}
	}
	return rows.Err()
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

// writer writes bindings in one transaction.
type writer struct {
	ctx      context.Context
	j        *Journal
	tx       *sql.Tx
	put, del *sql.Stmt
}

// transact runs f in a transaction.
func (j *Journal) transact(ctx context.Context, f func(*writer) error) error {
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // without effect after Commit
	w := &writer{ctx: ctx, j: j, tx: tx}
	if w.put, err = tx.PrepareContext(ctx, `INSERT OR REPLACE INTO binding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`); err != nil {
		return err
	}
	if w.del, err = tx.PrepareContext(ctx, `DELETE FROM binding WHERE id = ?`); err != nil {
		return err
	}
	if err := f(w); err != nil {
		return err
	}
	return tx.Commit()
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

// each writes the present state of these bindings: what is no longer in the table is deleted.
func (w *writer) each(ids []ID) error {
	for _, id := range ids {
		b, ok := w.j.table.read(id)
		var err error
		if ok {
			_, err = w.put.ExecContext(w.ctx, id.String(), b.AOR, b.Contact, b.Flow.Transport.String(),
				b.Flow.Remote.String(), int64(b.Flow.Conn), w.j.opts.Name(b.Flow.Listener), b.Flow.Side, b.NAT, b.Expires.UnixMilli())
		} else {
			_, err = w.del.ExecContext(w.ctx, id.String())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
