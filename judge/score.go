package judge

import (
	"math"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// What a score is made of.
const (
	otherWeight = 0.1 // of what belongs to something accepted before
	credit      = 2   // points off for each user that the platform accepts for the first time
	admission   = 3   // offences until a source that may be forged gets an entry, and so may be banned
	banAgain    = time.Second
	tellAgain   = 10 * time.Minute // the same for bans that are only told
	maxParts    = 8
)

// A record is the score of one source: an address (port 0), or an address and port. It holds no pointers, so that a table of them costs the
// garbage collector nothing. TestSizes holds it to what it may take.
type record struct {
	addr      [16]byte
	first     int64 // offence, nanoseconds
	last      int64 // offence
	at        int64 // of the scores below
	banned    int64 // when it was last asked to be
	suspected int64 // when it was last said that packets in its name may be forged
	parts     [maxParts]part
	proven    float32 // of the score: what is held against it by messages that it has sent for certain
	port      uint16
	offences  uint16
	used      uint8 // parts
	told      bool  // it is what the score would be did checks enforce that only watch
}

// A part is what one reason adds.
type part struct {
	points float32
	count  uint16
	reason uint8 // index in charges.reasons
}

// age brings the points to at. Where the clock was set back they stay, and fade from there on.
func (r *record) age(at time.Time) {
	gone := at.UnixNano() - r.at
	r.at = at.UnixNano()
	if gone <= 0 {
		return
	}
	left := float32(math.Exp2(-float64(gone) / float64(HalfLife)))
	for i := range r.parts[:r.used] {
		r.parts[i].points *= left
	}
	r.proven *= left
}

// score is the sum of the parts.
func (r *record) score() (sum float64) {
	for i := range r.parts[:r.used] {
		sum += float64(r.parts[i].points)
	}
	return sum
}

// add adds points for a reason, no more than most of them in all (0: any number), and returns by how much the score grew. What finds no room
// goes to the last part.
func (r *record) add(reason uint8, points, most float64) float32 {
	i := 0
	for i < int(r.used) && r.parts[i].reason != reason && i < maxParts-1 {
		i++
	}
	if i == int(r.used) {
		r.used++
		r.parts[i] = part{reason: reason}
	}
	p := &r.parts[i]
	sum := p.points + float32(points)
	if most > 0 {
		sum = max(p.points, min(sum, float32(most)))
	}
	grown := sum - p.points
	p.points, p.count = sum, min(p.count, math.MaxUint16-1)+1
	return grown
}

// worth is what a record is worth keeping: proven sources before all others, of these what is not only told, then by score.
func worth(proven, told bool, score float64) uint32 {
	w := uint32(min(score, 1<<20) * 100)
	switch {
	case proven && told:
		w |= 1 << 30
	case proven:
		w |= 1 << 31
	}
	return w
}

// shade is the key of what is only told of the source or flow with that key.
func shade(key uint64) uint64 { return key ^ 0x9e3779b97f4a7c15 }

// weigh adds what is held against the source of x to its score, and returns the ban that this leads to. What is only told has scores of its own,
// next to those that count.
//
// Where the platform knows nobody at the address, the address is held to account. Where it does (a NAT, an office), each of its flows answers
// for itself, and only for what it has sent for certain: the others, and whoever's name is on forged packets, are not touched.
func (j *Judge) weigh(all *charges, x *edge.Exchange, p *points, told bool) *edge.Ban {
	a := &x.Asked
	address, port := a.Source, a.Port
	if told {
		address, port = shade(address), shade(port)
	}
	whole := j.charge(all, address, record{told: told}, x, p)
	flow := j.charge(all, port, record{told: told, port: a.From.Remote.Port()}, x, p)
	if a.Known == 0 {
		return j.sentence(all, x, whole, address)
	}
	if ban := j.sentence(all, x, flow, port); ban != nil {
		return ban
	}
	return j.suspicion(all, x, whole, address)
}

// ReasonSpoof is why an operator is told of packets that may be forged in the name of an address where the platform knows somebody.
const ReasonSpoof edge.Reason = "spoof.suspected"

// suspectAgain is between two such suspicions of one source.
const suspectAgain = time.Hour

// suspicion is what there is to say of a source where the platform knows somebody, and in whose name as much has come as bans a stranger, none of
// it proven: forged packets, or somebody else behind its NAT who reads no answers. Nobody is banned for it.
func (j *Judge) suspicion(all *charges, x *edge.Exchange, whole record, key uint64) *edge.Ban {
	if whole.score() < BanAt || whole.proven > 0 || x.At.UnixNano()-whole.suspected < int64(suspectAgain) {
		return nil
	}
	if held := j.sources.Find(key, x.At); held != nil {
		held.suspected = x.At.UnixNano()
		j.sources.Leave(key)
	}
	return &edge.Ban{Source: edge.SourceOf(x.Asked.From.Remote.Addr()), Reason: ReasonSpoof, Told: whole.told, Forged: true, Parts: all.list(&whole)}
}

// charge adds what is held against the source to one record, which begins as empty, and returns a copy of it; the zero record if the source has no
// entry yet.
func (j *Judge) charge(all *charges, key uint64, empty record, x *edge.Exchange, p *points) record {
	a, times := &x.Asked, 1.0
	r := j.sources.Find(key, x.At)
	if r == nil {
		if !empty.told && j.heir.Load() {
			empty = j.inherited(key, empty, x.At)
		}
		if r, times = j.admit(key, empty, x, p); r == nil {
			return record{}
		}
	}
	r.age(x.At)
	for _, o := range p.list[:p.n] {
		if grown := r.add(all.index[o.reason], o.score*times, o.most); a.Proven {
			r.proven += grown
		}
	}
	r.offences, r.last = uint16(min(float64(r.offences)+times, math.MaxUint16)), x.At.UnixNano()
	out := *r
	j.sources.Leave(key)
	j.sources.Value(key, worth(out.proven > 0, out.told, out.score()))
	return out
}

// inherited is empty with the score that the source got while checks only watched that enforce now: what they would have done they do with the next
// message that they hold against it.
func (j *Judge) inherited(key uint64, empty record, at time.Time) record {
	told := j.sources.Find(shade(key), at)
	if told == nil {
		return empty
	}
	told.age(at)
	out := *told
	j.sources.Leave(shade(key))
	out.told, out.banned, out.suspected = false, 0, 0
	return out
}

// admit makes a new entry, locked, for who is proven or has offended often enough; nil if it gets none. times is how often what p holds against
// the source was seen of it, or what amounts to that, this time included.
func (j *Judge) admit(key uint64, empty record, x *edge.Exchange, p *points) (r *record, times float64) {
	tenths := int(10 * p.score())
	n := j.offences.Add(key, 1, x.At)
	if !x.Asked.Proven && n < admission+2*j.offences.Noise(x.At) {
		j.points.Add(key, tenths, x.At)
		return nil, 0
	}
	had := j.points.Add(key, tenths, x.At) - 2*j.points.Noise(x.At)
	r, fresh := j.sources.Enter(key, worth(x.Asked.Proven, empty.told, float64(had)/10), x.At)
	if r == nil || !fresh {
		return r, 1
	}
	*r = empty
	r.addr, r.first, r.at = x.Asked.From.Remote.Addr().As16(), x.At.UnixNano(), x.At.UnixNano()
	return r, max(1, float64(had)/float64(max(tenths, 1)))
}

// forget keeps the score of an evicted record where it is not lost.
func (j *Judge) forget(key uint64, r *record, now time.Time) {
	r.age(now)
	j.offences.Raise(key, int(r.offences), now)
	j.points.Raise(key, int(10*r.score()), now)
}

// credit takes points off the source of a, whose user the platform accepted.
func (j *Judge) credit(a *edge.Asked, at time.Time) {
	for _, key := range [...]uint64{a.Source, a.Port, shade(a.Source), shade(a.Port)} {
		r := j.sources.Find(key, at)
		if r == nil {
			continue
		}
		r.age(at)
		if sum := r.score(); sum > 0 {
			left := float32(max(0, sum-credit) / sum)
			r.proven *= left
			for i := range r.parts[:r.used] {
				r.parts[i].points *= left
			}
		}
		j.sources.Leave(key)
	}
}

// sentence is the ban that r has deserved, nil if none.
func (j *Judge) sentence(all *charges, x *edge.Exchange, r record, key uint64) *edge.Ban {
	again := banAgain
	if r.told {
		again = tellAgain
	}
	if r.score() < BanAt || x.Asked.Known > 0 && r.proven < BanAt || x.At.UnixNano()-r.banned < int64(again) {
		return nil
	}
	if held := j.sources.Find(key, x.At); held != nil {
		held.banned = x.At.UnixNano()
		j.sources.Leave(key)
	}
	source := edge.SourceOf(x.Asked.From.Remote.Addr())
	if r.port != 0 {
		source = edge.PortOf(x.Asked.From.Remote)
	}
	ban := &edge.Ban{Source: source, Told: r.told, Hard: r.proven >= BanAt, Parts: all.list(&r)}
	ban.Reason = ban.Parts[0].Reason
	ban.Evidence = j.shown.of(x.Asked.Source, r.port)
	return ban
}
