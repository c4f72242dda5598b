package judge

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
)

// wrongLife is how long a wrong password is remembered, wrongPairs of how many pairs of user and source.
const (
	wrongLife  = 15 * time.Minute
	wrongPairs = 1 << 14
)

// wrong remembers how many passwords of a user were wrong that came from one source.
type wrong struct {
	pairs *meter.Table[tries]
	until atomic.Int64 // when the last of them is forgotten: after that nothing has to be looked up
}

type tries struct {
	n    int32
	last int64
}

func (w *wrong) init() { w.pairs = meter.NewEvidence[tries](wrongPairs, wrongLife, nil) }

// any reports whether there may be some at all.
func (w *wrong) any(at time.Time) bool { return at.UnixNano() < w.until.Load() }

// of is how many there were of a pair.
func (w *wrong) of(pair uint64, at time.Time) int {
	t := w.pairs.Find(pair, at)
	if t == nil {
		return 0
	}
	defer w.pairs.Leave(pair)
	if at.UnixNano()-t.last >= int64(wrongLife) {
		return 0
	}
	return int(t.n)
}

// add notes one more; proven tells that it is no forgery.
func (w *wrong) add(pair uint64, proven bool, at time.Time) {
	t, _ := w.pairs.Note(pair, proven, at)
	if t == nil {
		return
	}
	defer w.pairs.Leave(pair)
	if at.UnixNano()-t.last >= int64(wrongLife) {
		t.n = 0
	}
	t.n, t.last = min(t.n+1, 1<<20), at.UnixNano()
	w.until.Store(at.Add(wrongLife).UnixNano())
}

// Absolve forgets the wrong passwords of a user that came from an address.
func (j *Judge) Absolve(user string, addr netip.Addr) {
	j.wrong.pairs.Delete(j.pairOf(j.UserHash(user), addr))
}

// askedPair is the hash of the user and the source of a, triedPair that of whose password is tried and the source.
func (j *Judge) askedPair(a *edge.Asked) uint64 { return j.key.Words(a.User, a.Source) }
func (j *Judge) triedPair(a *edge.Asked) uint64 { return j.key.Words(a.Tried(), a.Source) }

// Grey is what the source of a is greylisted for: Enforce where its score is GreyAt and more, Monitor where it would be did checks enforce that
// only watch, else Off. Who is held to account is as in weigh.
func (j *Judge) Grey(a *edge.Asked, at time.Time) Mode {
	key := a.Account()
	switch {
	case j.grey(key, at):
		return Enforce
	case (j.charges.Load().watching || j.dry.Load()) && j.grey(shade(key), at):
		return Monitor
	}
	return Off
}

func (j *Judge) grey(key uint64, at time.Time) bool {
	r := j.sources.Find(key, at)
	if r == nil {
		return false
	}
	defer j.sources.Leave(key)
	r.age(at)
	return r.score() >= GreyAt
}

// Read fills in x.Asked without judging x.
func (j *Judge) Read(x *edge.Exchange) { j.read(x) }
