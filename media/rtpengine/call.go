package rtpengine

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
)

// maxQueue bounds the requests of one call that wait for the one before.
const maxQueue = 8

// A Call is one call: what its Call-ID names on a server. Its requests go out one after the other, in the order in which they
// were made, and all to the server that took the first offer. Its methods may be called from any goroutine and do not block;
// the callbacks come from other goroutines and must not block either, and may call the methods.
type Call struct {
	cluster *Cluster
	id      string

	mu     sync.Mutex // guards the rest; never held while something is sent or a callback runs
	on     *instance  // that has the call; nil: none yet
	busy   *job       // that waits for its answer
	queue  []*job
	ended  bool
	cookie [cookieSize]byte // of busy, with asked
	asked  *instance        // where busy waits
}

// A job is one request and what has become of it.
type job struct {
	command string
	text    Text
	tried   []*instance
	done    func(value, error)
}

// Text is a session description with what a server has to know of it. Fields left zero are not said.
type Text struct {
	SDP      []byte   // as it came, but strictly read: see package sdp
	From, To string   // tags of who wrote it and who gets it; an offer that begins a call has no To
	Branch   string   // tells forks of one offer apart
	Between  []string // names of the server's interfaces of the writer and of the reader, both or none
	Source   netip.Addr
	Family   string   // "IP4" or "IP6", what the reader speaks
	ICE      string   // "remove", "force": what the reader gets
	Protocol string   // "RTP/AVP", "UDP/TLS/RTP/SAVPF": what the reader gets, if that differs
	Flags    []string // "strict-source" and the like
}

// Call makes a Call. id must be of this call alone, and not be guessable; nothing is sent yet.
func (c *Cluster) Call(id string) *Call { return &Call{cluster: c, id: id} }

// Instance is the server that has the call, false if none has.
func (k *Call) Instance() (netip.AddrPort, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.on == nil {
		return netip.AddrPort{}, false
	}
	return k.on.addr, true
}

// Offer asks for the description that the reader of an offer gets. If the server that should take a new call does not answer,
// refuses for its load, or is down, the next one is asked, and the same happens to a call whose server went down: its media
// begins anew with this offer. done gets the description, which it must not keep, or an error.
func (k *Call) Offer(t Text, done func(sdp []byte, err error)) {
	k.do(&job{command: "offer", text: t, done: described(done)})
}

// Answer asks for the description that the reader of an answer gets. It goes to the server that took the offer, or fails.
func (k *Call) Answer(t Text, done func(sdp []byte, err error)) {
	k.do(&job{command: "answer", text: t, done: described(done)})
}

// described gives the description of an answer to done.
func described(done func([]byte, error)) func(value, error) {
	return func(v value, err error) {
		sdp := v.get("sdp").str()
		if err == nil && len(sdp) == 0 {
			err = ErrAnswer
		}
		done(sdp, err)
	}
}

// Query asks what has flowed.
func (k *Call) Query(done func(Totals, error)) {
	k.do(&job{command: "query", done: func(v value, err error) { done(totals(v), err) }})
}

// Delete ends the call: what waits for an answer gets ErrEnded, and the server forgets the call at once. It is tried as often
// as any request; a server that misses it ends the call by its own timeout.
func (k *Call) Delete() {
	k.mu.Lock()
	if k.ended {
		k.mu.Unlock()
		return
	}
	k.ended = true
	open := k.queue
	if k.busy != nil && k.asked != nil && k.asked.drop(k.cookie) {
		open = append([]*job{k.busy}, open...)
	}
	on, asked := k.on, k.asked
	k.queue, k.busy = nil, nil
	k.mu.Unlock()
	for _, j := range open {
		j.done(nil, ErrEnded)
	}
	if on != nil {
		on.count(-1)
		k.forget(on)
	}
	if asked != nil && asked != on {
		k.forget(asked)
	}
}

// forget tells in that it does not have the call any more.
func (k *Call) forget(in *instance) {
	_ = in.send(cookie(), k.dict(&job{command: "delete"}), k.cluster.cfg.Tries, func(value, error) {})
}

// do runs j now, or when those before it are done.
func (k *Call) do(j *job) {
	k.mu.Lock()
	var err error
	switch {
	case k.ended:
		err = ErrEnded
	case k.busy == nil:
		k.busy = j
	case len(k.queue) >= maxQueue:
		err = ErrBusy
	default:
		k.queue = append(k.queue, j)
		k.mu.Unlock()
		return
	}
	k.mu.Unlock()
	if err != nil {
		j.done(nil, err)
		return
	}
	k.start(j)
}

// start sends j, which is k.busy, to the server that it belongs to.
func (k *Call) start(j *job) {
	k.mu.Lock()
	in := k.on
	if j.command == "offer" && (in == nil || len(j.tried) > 0 || !in.isUp()) {
		in = k.cluster.pick(k.id, j.tried)
	}
	if in == nil {
		k.mu.Unlock()
		k.finish(j, nil, ErrDown)
		return
	}
	j.tried = append(j.tried, in)
	key := cookie()
	k.asked, k.cookie = in, key
	k.mu.Unlock()
	if err := in.send(key, k.dict(j), k.cluster.cfg.Tries, func(v value, err error) { k.answered(j, in, v, err) }); err != nil {
		k.answered(j, in, nil, err)
		return
	}
	k.mu.Lock()
	ended := k.ended
	k.mu.Unlock()
	if ended && in.drop(key) { // deleted while it was sent
		k.forget(in)
		j.done(nil, ErrEnded)
	}
}

// answered takes the outcome of j at in.
func (k *Call) answered(j *job, in *instance, v value, err error) {
	elsewhere := errors.Is(err, ErrTimeout) || errors.Is(err, ErrRefused) || errors.Is(err, ErrLoad) || errors.Is(err, ErrBusy)
	k.mu.Lock()
	mine := k.busy == j
	stuck := k.on == in && in.isUp() && !errors.Is(err, ErrRefused) // a call that is there stays there
	k.mu.Unlock()
	if mine && elsewhere && j.command == "offer" && !stuck && k.cluster.pick(k.id, j.tried) != nil {
		if errors.Is(err, ErrTimeout) { // it may have taken the call all the same
			k.forget(in)
		}
		k.start(j)
		return
	}
	if err == nil && j.command == "offer" && mine {
		k.moved(in)
	}
	k.finish(j, v, err)
}

// moved notes that in has the call now.
func (k *Call) moved(in *instance) {
	k.mu.Lock()
	was := k.on
	k.on = in
	k.mu.Unlock()
	if was == in {
		return
	}
	in.count(1)
	if was != nil {
		was.count(-1)
		k.forget(was)
	}
}

// finish ends j and begins the next one.
func (k *Call) finish(j *job, v value, err error) {
	k.mu.Lock()
	var next *job
	if k.busy == j {
		k.busy = nil
		if len(k.queue) > 0 {
			next, k.queue = k.queue[0], slices.Delete(k.queue, 0, 1)
			k.busy = next
		}
	}
	if k.ended {
		v, err = nil, ErrEnded
	}
	k.mu.Unlock()
	j.done(v, err)
	if next != nil {
		k.start(next)
	}
}

// dict is the dictionary that asks for j; keys in order, as bencoding has them.
func (k *Call) dict(j *job) []byte {
	t := &j.text
	d := append(make([]byte, 0, 512+len(t.SDP)), 'd')
	d = appendPair(d, "ICE", t.ICE)
	d = appendPair(d, "address family", t.Family)
	d = appendPair(d, "call-id", k.id)
	d = appendPair(d, "command", j.command)
	if j.command == "delete" {
		d = append(appendString(d, "delete delay"), "i0e"...)
	}
	d = appendList(d, "direction", t.Between)
	d = appendList(d, "flags", t.Flags)
	d = appendPair(d, "from-tag", t.From)
	if t.Source.IsValid() {
		family := "IP4"
		if t.Source.Is6() {
			family = "IP6"
		}
		d = appendList(d, "received from", []string{family, t.Source.String()})
	}
	if len(t.SDP) > 0 {
		d = appendList(d, "replace", []string{"origin", "session-connection"})
	}
	d = appendPair(d, "sdp", t.SDP)
	if j.command == "offer" {
		d = appendList(d, "supports", []string{"load limit"})
	}
	d = appendPair(d, "to-tag", t.To)
	d = appendPair(d, "transport-protocol", t.Protocol)
	d = appendPair(d, "via-branch", t.Branch)
	return append(d, 'e')
}
