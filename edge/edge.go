// Package edge is ringwall's vocabulary: the nouns that rooms share, their contracts, and no behaviour.
// Read it first. It imports sip and the standard library only and stays below 500 lines (arch_test.go).
package edge

import (
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// Side is the side of the edge a message came from or goes to. RFC 3261 §6 gives "upstream" and "downstream" another
// meaning, so ringwall says Outside (the internet) and Inside (the platform).
type Side uint8

// The two sides.
const (
	Outside Side = iota
	Inside
)

// Transport is a SIP transport protocol (RFC 3261 §18).
type Transport uint8

// The transports. WS and WSS are those of RFC 7118, over TCP and over TLS.
const (
	UDP Transport = iota
	TCP
	TLS
	WS
	WSS
	Transports = iota // how many there are
)

var transportNames = [Transports]string{"udp", "tcp", "tls", "ws", "wss"}

// String is the name of t in lower case, as in a listener of the configuration.
func (t Transport) String() string { return transportNames[t%Transports] }

// Stream reports whether t carries messages on connections.
func (t Transport) Stream() bool { return t != UDP }

// Secure reports whether t is encrypted and its server authenticated.
func (t Transport) Secure() bool { return t == TLS || t == WSS }

// WebSocket reports whether t is RFC 7118's: connections are only ever made by the client.
func (t Transport) WebSocket() bool { return t == WS || t == WSS }

// Delimited reports whether the transport itself says where a message ends, so that Content-Length may be absent.
func (t Transport) Delimited() bool { return t == UDP || t.WebSocket() }

// A Flow is where a message came from and where an answer to it goes: the way back to one far end. It is a plain value,
// comparable, and stays meaningful after the connection it names is gone (sending to it then fails).
type Flow struct {
	Remote    netip.AddrPort // the far end
	Conn      uint64         // number of the connection, unique in this process; 0 for UDP and for "any connection to Remote"
	Listener  uint16         // index of the local listener (transport.Listener) it uses
	Transport Transport
	Side      Side
}

// Trust is the trust class of a source (design, section 5).
type Trust uint8

// Trust classes, rising.
const (
	Unknown Trust = iota
	Known         // the source of a live binding
	Peer          // the platform itself: upstreams and inside.sources; outside the configured peers, each by its own transport
)

// Pressure says how short of memory the process is, and so what is not begun any more. ACK, CANCEL, BYE, responses and requests in
// dialogs pass at any pressure.
type Pressure uint8

// Pressures, rising.
const (
	Calm    Pressure = iota
	Tight            // unknown sources get no new state
	Scarce           // unknown sources get nothing new at all
	Drought          // nobody gets anything new
)

var pressureNames = [...]string{"calm", "tight", "scarce", "drought"}

// String is the name of p in lower case, as in `ringwall status`.
func (p Pressure) String() string { return pressureNames[min(int(p), len(pressureNames)-1)] }

// Match says what a message belongs to; it is found by read-only look-ups before anything is judged. Anything but
// MatchNew is never challenged, rate-dropped or unified.
type Match uint8

// Matches.
const (
	MatchNew            Match = iota
	MatchRetransmission       // of a request whose transaction is on record
	MatchACK                  // ACK of a final response of 300 and more that we relayed or sent
	MatchCancel               // CANCEL of a transaction on record, from its address
	MatchReply                // response to a request that we sent
	MatchInDialog             // request with a route token of ours that verifies
)

// An Exchange is one message on its way through the edge. Whoever looks at it only reads, and says what he thinks with Say.
type Exchange struct {
	Msg    *sip.Message
	From   Flow      // source, with the local listener and side
	At     time.Time // when it was received: the only clock of everything that judges
	Trust  Trust
	Match  Match
	Dialog uint64 // of a request in a dialog: a number that no other dialog has; else 0
	Answer Answer // of a request: to the edge's own challenge

	Target []byte // of a request: the URI that its Request-URI stands for, if that is a token of the edge's; else nil. Borrowed

	Answers uint64 // the header fields, a bit for each (the last for all from the 63rd on), whose credentials answer that
	Excess  uint64 // those with credentials that nobody judged: beside them there are others

	Ours  bool  // a response that the edge made
	Asked Asked // of a response: what the request asked for that it answers

	said Verdict
}

// Say returns v as a check returns it: nil if it is no opinion, else borrowed until somebody says something again.
func (x *Exchange) Say(v Verdict) *Verdict {
	if v.Action == Pass && v.Score == 0 && v.Lock == LockNone {
		return nil
	}
	x.said = v
	return &x.said
}

// Answer is what the credentials of a request are worth as far as the edge's own challenges go.
type Answer uint8

// Answers, rising.
const (
	AnswerNone  Answer = iota // they answer none of them
	AnswerVoid                // one that went to somebody else, or is too old
	AnswerDay                 // one that went to that address within a day, the same each time: equal passwords give equal answers, and nothing is proven
	AnswerFixed               // one that went there within 5 minutes, the same each time: equal passwords give equal answers
	AnswerFresh               // one that went there within 5 minutes
)

// Asked is what a request asks for and who asks, read once for all checks. The judge fills it in before they look; whoever keeps the
// transaction keeps it, and hands it to the judge with each response. Hashes are keyed; 0 means that there is no such thing.
type Asked struct {
	From   Flow
	Trust  Trust
	Match  Match
	Method sip.Method

	Proven  bool // whoever wrote it reads what we send to its source: it is no forgery (design, section 5)
	Good    bool // the platform accepted this user from this source within 30 days
	Near    bool // with credentials, and not Good: it accepted whose they are from this network (IPv4 /24, IPv6 /48) within 30 days
	Fresh   bool // its credentials answer a challenge that went to this flow
	Apt     bool // and that was for this user and this target
	Denied  bool // and that was made up, since the platform denies this user
	Alien   bool // its credentials answer no challenge that went to its address, nor came they over a connection: anybody may have written them
	Tested  bool // and that followed an answer to the edge's own fixed nonce; only of the first credentials that come with it
	Answer  Answer
	Lent    bool // Good is said of the name in its credentials alone, which stand in a call from whomever
	Literal bool // it calls a telephone number at an address, at no domain
	Stale   bool // once it was challenged again: only because the nonce of its credentials was too old
	Known   int  // how many users the platform accepted from the source's address within 30 days
	Wrong   int  // how many passwords of this user from this address were wrong within 15 minutes; 0 where Good

	Source uint64 // of the address; IPv6: of its /64
	Port   uint64 // of address and port
	User   uint64 // of the user it acts for: REGISTER the To, else the From
	Login  uint64 // of the user whose name is in its credentials, if that is another one
	Target uint64 // of the user it is for: REGISTER the To, else the Request-URI
	Secret uint64 // of credentials for the platform: other passwords make others
	Guess  uint64 // of the response that they give to the edge's own fixed nonces
	Number Number // dialled with an INVITE
}

// Refused reports whether status says that the credentials were wrong: asked for again although they were not too old, or 403 for REGISTER, and for INVITE of a
// user who was never accepted there: some platforms refuse wrong passwords so, and who is known good is not to call that number.
func (a *Asked) Refused(status int) bool {
	switch status {
	case 401, 407:
		return a.Secret != 0 && !a.Stale
	case 403:
		return a.Secret != 0 && (a.Method == sip.REGISTER || a.Method == sip.INVITE && a.Apt && !a.Good)
	}
	return false
}

// Failed is Refused for credentials that somebody at the address of a must have written: only these are held against a user or a source.
func (a *Asked) Failed(status int) bool { return !a.Alien && a.Refused(status) }

// Answers reports whether the credentials of a are those of who was asked for them, or of a user who is known there. Anybody can write some into a call
// to somebody whom the platform lets anybody call.
func (a *Asked) Answers() bool { return a.Secret != 0 && (a.Apt || a.Good) }

// Right reports whether status says that the password in the credentials of a was right: the platform asked for it, and accepted who gave it, or told him what
// it tells nobody else of a call. It accepts some calls of anybody, whatever credentials come with them, and refuses some requests before it looks at those.
func (a *Asked) Right(status int) bool {
	switch {
	case a.Secret == 0 || a.Method != sip.REGISTER && !a.Answers():
		return false
	case status/100 == 2:
		return true
	}
	switch status {
	case 404, 410, 480, 484, 486, 487, 488, 600, 603, 604:
		return a.Method == sip.INVITE
	}
	return false
}

// Guest reports whether a comes from an address where the platform knows somebody, but not him: a neighbour of its users behind a NAT, one of whose phones
// that is new, or somebody who takes a new port for each step.
func (a *Asked) Guest() bool { return a.Known > 0 && !a.Good && a.Trust == Unknown }

// Tried is the user whose password the credentials are to be: who guesses that of one user may write a new one into the From each time.
func (a *Asked) Tried() uint64 {
	if a.Login != 0 {
		return a.Login
	}
	return a.User
}

// Account is who is held to account: the address, or, where the platform knows somebody there, each of its flows for itself.
func (a *Asked) Account() uint64 {
	if a.Known > 0 {
		return a.Port
	}
	return a.Source
}

// Number is a telephone number: its last 15 digits, four bits each, the last digit lowest, and how many digits it has in the four bits on top (15:
// 15 and more). *, # and a + that does not come first are digits, too. Of a longer number the digits before the last 8 are a mixture of all there are.
// 0 is none.
type Number uint64

// Len is how many digits n has, at most 15.
func (n Number) Len() int { return int(n >> 60) }

// Last returns the last k digits of n, at most 8, the same for all numbers that end so.
func (n Number) Last(k int) uint64 { return uint64(n) & (1<<(4*k) - 1) }

// A Check looks at a request and says what it thinks of it. It looks and says, no more: one place acts. Any number of goroutines call it
// at once; it does not wait, does not allocate and keeps a bounded memory of what it saw, by x.At and no other clock. Most messages are nothing to
// talk about: of these it returns nil, and of others what x.Say makes of its Verdict.
type Check interface{ Inspect(x *Exchange) *Verdict }

// A Follower is a Check that is asked about requests in dialogs, too.
type Follower interface {
	Check
	FollowsDialogs()
}

// A Watcher looks at the final response to a request, by x.Asked, and says what it thinks of who asked. Of calls of strangers without credentials
// it sees 18x, too.
type Watcher interface{ Watch(x *Exchange) *Verdict }

// Methods is a set of methods of requests: the bit 1 << m for each sip.Method m.
type Methods uint32

// All is the set of all methods.
const All = ^Methods(0)

// Minds are the requests that a Check has anything to say of or to learn from, or those whose responses a Watcher has, by method: Signed those in which
// Asked.Secret or Asked.Guess are set, Bare all others.
type Minds struct{ Bare, Signed Methods }

// A Chooser is a Check or Watcher that does not mind all requests. The judge may leave it out for others.
type Chooser interface{ Minds() (inspect, watch Minds) }

// A Sorter looks at what could not be parsed. The spans of x.Msg are what could be read.
type Sorter interface {
	Unreadable(x *Exchange, why sip.Error) *Verdict
}

// Action is what happens to a message. The strictest opinion wins.
type Action uint8

// Actions, rising.
const (
	Pass Action = iota
	Note
	Challenge // Reply with the edge's own challenge
	Reply
	Drop
)

// Reason is a stable id, "access.method": the same word in log, metric label, page and docs. docs/reasons.md lists all.
type Reason string

// A Verdict is an opinion on one message. The zero Verdict is "no opinion".
type Verdict struct {
	Action Action
	Would  Action // where Action is Note because it is only told (mode: monitor): what it would be; else Pass
	Reason Reason
	Status int     // for Reply: the SIP status
	Text   string  // for Reply: reason phrase, "" for the usual one
	Retry  int     // for Reply: seconds of Retry-After, 0: none
	Score  float64 // points against the source of the message; of a response: of who asked
	Most   float64 // what this Reason may add up to at most in a score; 0: any number
	Lock   Lock    // whom it begins to lock
	Locks  Lock    // whom it would begin to lock, were it not only told
	Steady bool    // for Challenge: its nonce stays the same for a day
	_      [2]byte // has functions return it in memory: an empty one in eleven registers takes twice as long, and each message meets a dozen
	Ban    *Ban    // what is to happen to its source; nil: nothing. Borrowed until the next message
}

// Told is v where it is told and not acted on.
func (v Verdict) Told() Verdict {
	if v.Action > Note {
		v.Action, v.Would = Note, v.Action
	}
	if v.Lock != LockNone {
		v.Lock, v.Locks = LockNone, v.Lock
	}
	return v
}

// Lock is who is kept from trying passwords. Users are locked, sources are banned, and the two are not mixed.
type Lock uint8

// Locks.
const (
	LockNone Lock = iota
	LockPair      // the user, from this source
	LockUser      // the user, from everywhere but where the platform accepted it before
)

// A Hold is what a check holds against the passwords of one user.
type Hold struct {
	User     string    `json:"user,omitempty"`  // as it was written; "": of the one that was asked for
	Source   Source    `json:"source,omitzero"` // from where; zero: from everywhere but where the platform accepted the user before
	Reason   Reason    `json:"reason"`
	Failures int       `json:"failures"`       // wrong passwords that count; where Source is zero, sources that they came from
	Until    time.Time `json:"until,omitzero"` // the lock ends; zero: nothing is locked yet
}

// A Keeper is a check that locks users, and can tell of it and undo it. user is what Asked.User is for the user's requests.
type Keeper interface {
	// Held returns what is held against the user.
	Held(user uint64, now time.Time) []Hold
	// From returns what is held against users from sources in a prefix, not what is held against them everywhere.
	From(source Source, now time.Time) []Hold
	// Release forgets it for sources in from, the zero Source: for all, and returns what it was.
	Release(user uint64, from Source, now time.Time) []Hold
}

// A Part is one of the things that a score adds up from.
type Part struct {
	Reason Reason  `json:"reason"`
	Score  float64 `json:"score"`
}

// A Ban is what is asked to be done to a source, and why. What it points to is borrowed: who keeps it copies.
type Ban struct {
	Source   Source
	Reason   Reason
	Told     bool          // a check that only watches asks for it: nobody is banned, it is only told
	Forged   bool          // somebody else may write its address on packets: nobody is banned, it is only told
	Hard     bool          // its return path is proven: nothing of it is read any more; else new requests are dropped once they are matched
	For      time.Duration // 0: as long as its offences so far ask
	Parts    []Part        // what made the score
	Evidence [][]byte      // the messages that gave it away, oldest first
}

// An Event is one thing worth telling: kept in the ring, logged, counted by its reason.
type Event struct {
	At      time.Time
	Name    string // "refused", "binding", "upstream", "listener", "state"
	Reason  Reason
	Source  Flow
	Method  string
	Status  int
	CallID  string // bounded copy
	Other   string // the Call-ID by which the other side knows the dialog, where that is another one
	Message string // one sentence for the operator
	Detail  string // what belongs to it and may hold the words of others; never read as the sentence
}
