package judge

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// MaxName is how much is kept of the name of a user whom the platform accepted, in bytes; longer ones are cut.
const MaxName = 47

// A name says who is behind a pair, of which the judge itself needs no more than hashes: for operators. It holds no pointers, as all that tables
// hold here.
type name struct {
	addr [16]byte // of the source
	n    uint8
	user [MaxName]byte
}

func nameOf(user string, addr netip.Addr) name {
	out := name{addr: addr.As16()}
	out.n = uint8(copy(out.user[:], user))
	return out
}

// A Pair is a user whom the platform accepted from a source, or for whom an operator vouches there.
type Pair struct {
	User   string      `json:"user"` // user@host
	Source edge.Source `json:"source"`
	Seen   time.Time   `json:"seen"`  // to the minute: when that was last
	Until  time.Time   `json:"until"` // it is forgotten if it is not again
}

// A Choice says which pairs are meant: those of a user, those of a source, those of both; the zero Choice: all.
type Choice struct {
	User string      // user, user@host, or a SIP URI
	From edge.Source // its port does not matter
}

// UserHash is what Asked.User is for requests of the user, who is written as user, user@host or as a SIP URI; 0 if that is none.
func (j *Judge) UserHash(user string) uint64 {
	if !strings.Contains(user, ":") {
		user = "sip:" + user
	}
	if !strings.Contains(user, "@") {
		user += "@"
	}
	return j.hashURI([]byte(user))
}

// noteName keeps the name of the user of a pair.
func (j *Judge) noteName(pair uint64, user string, addr netip.Addr, at time.Time) {
	if !j.known.named(pair, at) {
		j.known.name(pair, nameOf(user, addr), at)
	}
}

// named reports whether it is known who is behind a pair.
func (k *known) named(pair uint64, at time.Time) bool {
	if k.names.Find(pair, at) == nil {
		return false
	}
	k.names.Leave(pair)
	return true
}

// noteLogin keeps the name in the credentials of x, if their pair is known and has none yet: the response that vouched for it had only that of From.
func (j *Judge) noteLogin(x *edge.Exchange) {
	pair := j.triedPair(&x.Asked)
	if j.known.named(pair, x.At) || !j.known.holds(pair, ownName, x.At) {
		return
	}
	m, uri := x.Msg, x.Msg.From.URI.Of(x.Msg.Raw)
	for _, id := range [...]sip.FieldID{sip.FieldAuthorization, sip.FieldProxyAuthorization} {
		for i := m.Find(id); i >= 0; i = m.Next(id, i) {
			_, name := answerIn(m.Raw, m.Fields[i].Value)
			if j.login(name, uri, x.Asked.User) != x.Asked.Login {
				continue
			}
			user := string(name)
			if host := hostOf(uri); !strings.Contains(user, "@") && len(host) > 0 {
				user += "@" + strings.ToLower(string(host))
			}
			j.noteName(pair, user, x.From.Remote.Addr(), x.At)
			return
		}
	}
}

// name keeps who is behind a pair, if that is not known yet.
func (k *known) name(pair uint64, who name, at time.Time) {
	one, fresh := k.names.Enter(pair, 0, at)
	if one == nil {
		return
	}
	if fresh {
		*one = who
	}
	k.names.Leave(pair)
	if fresh {
		k.tell(pair)
	}
}

// Pairs returns the pairs that are meant, by user and source.
func (j *Judge) Pairs(of Choice, now time.Time) []Pair {
	list := []Pair{}
	j.chosen(of, now, func(_ uint64, p Pair) { list = append(list, p) })
	slices.SortFunc(list, func(a, b Pair) int {
		return cmp.Or(strings.Compare(a.User, b.User), a.Source.Prefix.Addr().Compare(b.Source.Prefix.Addr()))
	})
	return list
}

// chosen calls do for the pairs that are meant.
func (j *Judge) chosen(of Choice, now time.Time, do func(key uint64, p Pair)) {
	user := j.UserHash(of.User)
	names := map[uint64]name{}
	j.known.names.All(func(key uint64, who *name) bool {
		names[key] = *who
		return true
	})
	for key, who := range names {
		p, found := j.known.pairs.Copy(key)
		addr := netip.AddrFrom16(who.addr)
		source := edge.SourceOf(addr)
		switch {
		case !found || !recent(p.minute, now),
			of.User != "" && key != j.pairOf(user, addr),
			of.From.Prefix.IsValid() && !of.From.Prefix.Overlaps(source.Prefix):
			continue
		}
		seen := time.Unix(int64(p.minute)*60, 0)
		do(key, Pair{User: string(who.user[:who.n]), Source: source, Seen: seen, Until: seen.Add(KnownFor)})
	}
}

// pairOf is the hash of a user, given by its own, and a source.
func (j *Judge) pairOf(user uint64, addr netip.Addr) uint64 {
	return j.key.Words(user, j.key.Addr(addr))
}

// ErrNoUser says that what should be a user is none.
var ErrNoUser = errors.New("no user: write alice, alice@example.com or sip:alice@example.com")

// Vouch makes a user known good from an address as if the platform had accepted him there at now.
func (j *Judge) Vouch(user string, addr netip.Addr, now time.Time) error {
	hash := j.UserHash(user)
	if hash == 0 {
		return ErrNoUser
	}
	key := j.pairOf(hash, addr)
	j.known.add(key, j.key.Addr(addr), 0, anyLogin, now)
	j.known.name(key, nameOf(user, addr), now)
	j.settle(hash, addr, now)
	return nil
}

// Forget forgets the pairs that are meant, with their networks, and returns them.
func (j *Judge) Forget(of Choice, now time.Time) []Pair {
	list := []Pair{}
	j.chosen(of, now, func(key uint64, p Pair) {
		j.known.drop(key, now)
		j.known.nets.Delete(j.nearKey(j.UserHash(p.User), p.Source.Prefix.Addr()))
		list = append(list, p)
	})
	return list
}
