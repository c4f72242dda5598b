package proxy

import (
	"time"

	"github.com/ringwall/ringwall/challenge"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
	"github.com/ringwall/ringwall/transport"
)

// A lane handles messages one after the other for one goroutine. All it needs for one message is kept in it and used
// again for the next.
type lane struct {
	p     *Proxy
	cfg   *settings // the settings in force for the message at hand
	out   *transport.Out
	count *event.Counters

	msg      sip.Message // the message received
	sent     sip.Message // a message of our own, read again to build ACK, CANCEL or an answer from
	edit     sip.Edit
	branches brancher
	x        edge.Exchange
	own      belongings
	asked    registering
	notes    []noted           // of the REGISTER that is answered
	source   source            // of a request
	left     sip.Message       // a message of ours on its way out, for who traces
	held     *transaction.Tx   // the one that is locked
	ended    bool              // what is being done came to its end, without a panic
	late     bool              // the response that is being handled is of a server that held has left
	was      transaction.State // of held, before the response that is being handled
	raw      []byte            // the message received that is being handled, nil if none is
	from     edge.Flow         // where it came from

	mask  topo.Mask
	leg   topo.Leg
	memo  topo.Memo                             // of the transaction at hand
	knows func(callID, tag []byte) (byte, bool) // Proxy.chosen

	seconds, value, vias, extra, small, uri, second, hashed, large []byte // scratch

	opened, again      []byte            // opened route tokens: of the request at hand, of anything else
	unmasked, other    []byte            // a Call-ID; that of the other side for who traces
	unseen, turn, note []byte            // proxies inside, in the order they stand and in reverse; a note
	fields             []sip.Header      // of a response of our own
	counts             []int             // lengths of the entries in unseen
	hops               []sip.Address     // proxies inside of a shown platform, as they stand in the message
	d                  description       // in the message at hand
	clean              func([]byte) bool // unmarked
	body               []byte            // one of several parts, with another description
	orders             []byte            // requests of our own that wait for the message at hand to be done with
	split              int               // where in orders the second one begins
	orderer            edge.Flow         // in whose name they are
	ordered            bool              // the message at hand is one of them
	ending             ending            // of the transaction that is locked
	waits              bool              // for media or names, as no other lane may: it takes up what was put aside
	answered           *knownHost        // what the look-up has found that the message at hand waited for
	face, redone       []byte            // our address on one side; a response of ours as its client knows it
	written            challenge.Written // the challenge of the response at hand
	evening            evening           // what became of the response at hand
}

// belongings is what match found out about a request besides Exchange.Match.
type belongings struct {
	key      uint64      // of its server transaction
	callID   []byte      // as inside knows it
	masked   bool        // outside knows another one
	loop     uint32      // loop hash
	salt     uint32      // of its dialog (topo.Leg)
	route    route       // what its route token says, if tokened
	tokened  bool        // a route token of ours that verifies stands on top of Route
	path     bool        // it is that of a registration: the request may begin a dialog
	inner    bool        // it is that of a dialog that began inside
	forged   edge.Reason // a token is there that does not verify, and which; "": none
	target   []byte      // the URI that the Request-URI stands for, if that is a token of ours
	made     uint32      // the salt of that token (topo.Veil.Open)
	marks    []byte      // of target and Routes, behind the route token
	called   []byte      // of what was called, behind these
	marked   []byte      // the Request-URI without the mark in it, if there is one that verifies
	home     edge.Flow   // the server of the platform that is in it, if it is one of a Contact that the platform registered
	barred   bool        // its source is banned without proof
	ownRoute bool        // the topmost Route names us and is to be removed
	rest     sip.Span
	field    int // index of the Route field it stands in; rest is what follows in that field
}

// Receive takes one message all the way; a panic in that is survived. Its error is that of a message whose own end is in doubt: a
// connection that brought it is not read on.
func (l *lane) Receive(b []byte, from edge.Flow, at time.Time) error {
	if idle(b) {
		return nil
	}
	l.ended = false
	defer l.survive(at)
	l.raw, l.from, l.own.key, l.x.Msg = b, from, 0, nil
	err := l.handle(b, from, at)
	if len(l.orders) > 0 {
		l.obey(at)
	}
	l.ended = true
	return err
}

// handle is what Receive does: the one function to read to know what the edge does.
func (l *lane) handle(b []byte, from edge.Flow, at time.Time) error {
	l.cfg, l.d.fate = l.p.cfg.Load(), fateNone
	if err := l.msg.Parse(b, from.Transport.Delimited()); err != nil {
		l.malformed(err, from, at)
		return l.inDoubt(err)
	}
	x := &l.x
	*x = edge.Exchange{}
	x.Msg, x.From, x.At = &l.msg, from, at
	l.out.About(l.msg.CallID.Of(b))
	if !l.ordered {
		l.seen(x)
	}
	if !l.sided(x) {
		return nil
	}
	if !l.ordered {
		l.count.Received(from, x.Msg)
	}
	if from.Side == edge.Inside && l.cfg.Topology.Marks != nil {
		l.learn(x)
	}
	if !x.Msg.IsRequest() {
		l.response(x)
		return nil
	}
	l.match(x)
	l.answers(x)
	if l.own.barred = l.outlawed(x); l.own.barred && !l.mayProve(x) {
		l.refuse(x, edge.Verdict{Action: edge.Drop, Reason: reasonSoft})
		return nil
	}
	if x.Msg.Method == sip.CANCEL && l.callsOff(x) {
		return nil
	}
	if a, key := l.overtakes(x); a != nil {
		l.park(x, a, key)
		return nil
	}
	l.act(x, l.admit(x))
	return nil
}

// act does what the verdict on a request says.
func (l *lane) act(x *edge.Exchange, v edge.Verdict) {
	if v.Ban != nil {
		l.punish(x, v.Ban)
	}
	switch v.Action {
	case edge.Drop:
		if v.Reason != "" {
			l.refuse(x, v)
		}
	case edge.Challenge:
		l.refuse(x, v)
		l.challenge(x, v.Steady)
	case edge.Reply:
		l.refuse(x, v)
		l.answer(x, v)
	default:
		if v.Action == edge.Note {
			l.refuse(x, v)
		}
		if via := &x.Msg.Via; via.Alias && x.From.Transport == edge.TLS {
			l.p.srv.Alias(x.From, via.Host.Of(x.Msg.Raw), via.Port)
		}
		l.pass(x)
	}
}

// inDoubt is err if it leaves the end of the message in doubt (S3 to S14). The connection of a peer or of the platform, which many
// calls share, goes on: somebody else may have made it send that, and the message was framed by the one rule there is.
func (l *lane) inDoubt(err error) error {
	if e, ok := err.(sip.Error); ok && e.Framing() && l.x.Trust != edge.Peer {
		return err
	}
	return nil
}

// unlock gives tx, which is locked and held, back to the table.
func (l *lane) unlock(tx *transaction.Tx) {
	l.held = nil
	tx.Unlock()
	l.conclude()
}

// pass does what an admitted request is for.
func (l *lane) pass(x *edge.Exchange) {
	switch x.Match {
	case edge.MatchRetransmission:
		l.retransmission(x)
	case edge.MatchACK:
		l.acknowledged(x)
	case edge.MatchCancel:
		l.cancelled(x)
	default:
		l.relay(x)
	}
}

// idle reports keep-alives on UDP: CRLFs (RFC 5626 §3.5.1), and what is too short to be anything. They cost nothing.
func idle(b []byte) bool {
	for _, c := range b {
		if c != '\r' && c != '\n' && c != 0 {
			return false
		}
	}
	return true
}

// sided fills in the trust that follows from the configuration alone, and turns away who has no business inside.
func (l *lane) sided(x *edge.Exchange) bool {
	if x.From.Side == edge.Outside {
		if l.cfg.peerFrom(x.From) != nil {
			x.Trust = edge.Peer
		}
		return true
	}
	if !l.cfg.inside(x.From.Remote.Addr()) {
		l.refuse(x, edge.Verdict{Action: edge.Drop, Reason: reasonStranger})
		return false
	}
	x.Trust = edge.Peer
	return true
}

// refuse counts and tells of a verdict; it sends nothing.
func (l *lane) refuse(x *edge.Exchange, v edge.Verdict) { l.refuseSaying(x, v, "") }

func (l *lane) refuseSaying(x *edge.Exchange, v edge.Verdict, message string) {
	l.count.Refused(v.Reason)
	l.judged(x, v)
	name := event.Refused
	if max(v.Action, v.Would) == edge.Drop {
		v.Status = 0 // nobody gets it
	}
	if v.Action == edge.Note {
		name = event.Noted
		if message == "" {
			message = foretold(v)
		}
	}
	l.p.ring.AddOf(edge.Event{At: x.At, Name: name, Reason: v.Reason, Source: x.From, Status: v.Status, Other: string(l.otherCallID(x.Msg, x.From.Side)),
		Message: message}, x.Msg)
}

// foretold says what would become of a message and its user, were v not only told.
func foretold(v edge.Verdict) string {
	switch {
	case v.Would == edge.Reply:
		return "would be answered"
	case v.Would == edge.Drop:
		return "would be dropped"
	case v.Would == edge.Challenge:
		return "would be challenged"
	case v.Locks == edge.LockPair:
		return "would lock the user for this source"
	case v.Locks == edge.LockUser:
		return "would lock the user for strangers"
	case v.Lock == edge.LockPair:
		return "locks the user for this source"
	case v.Lock == edge.LockUser:
		return "locks the user for strangers"
	}
	return ""
}

// malformed deals with what is not a SIP message: silence over UDP to who may not be who they say (so that nobody can be
// hit by our answers), 400 over a stream, to a known phone, and inside.
func (l *lane) malformed(err error, from edge.Flow, at time.Time) {
	l.cfg = l.p.cfg.Load()
	l.out.About(nil)
	l.x = edge.Exchange{Msg: &l.msg, From: from, At: at}
	x := &l.x
	v := edge.Verdict{Action: edge.Reply, Reason: reasonNotSIP, Status: 400}
	if e, ok := err.(sip.Error); ok {
		v.Reason, v.Status = edge.Reason(e.ID()), e.Status()
	}
	l.seen(x)
	if !l.sided(x) {
		return
	}
	if x.Trust == edge.Unknown && l.p.bindings.Known(from, at) {
		x.Trust = edge.Known
	}
	l.weighed(x, err)
	l.refuseSaying(x, v, err.Error())
	if l.msg.Replyable() && l.msg.IsRequest() && l.msg.Method != sip.ACK && l.proven(x) {
		l.reply(x, v.Status, v.Text)
	}
}

// Refused answers a stream whose framing is in doubt; transport closes it after that.
func (l *lane) Refused(b []byte, from edge.Flow, err error, at time.Time) {
	l.ended = false
	defer l.survive(at)
	if l.msg.Parse(b, false) != nil { // else a later message of the stream is the bad one
		l.malformed(err, from, at)
	}
	l.ended = true
}
