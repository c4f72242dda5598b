// Package topo hides the platform (design, section 6): what leaves for outside names nothing inside, and what comes back with a token of
// ours is put right again. It is a pure function of a key, the operator's settings and a message: nothing is stored, so dialogs survive
// a restart and a second node with the key can take over. It writes edits and sends nothing.
//
// Tokens are sealed with AES-SIV (RFC 5297). A target token stands for a URI and a Call-ID token for a Call-ID; the route token of a
// dialog is proxy's. Equal input gives equal tokens, so one dialog shows one token; a salt keeps two dialogs from showing the same. It is made
// of the Call-ID, the platform's tag, and a number that proxy keeps, since a caller may repeat all the rest.
package topo

import (
	"strings"
	"time"

	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
)

// Config says what is hidden and by what it is replaced.
type Config struct {
	CallID bool     // mask the Call-ID of dialogs that start inside
	Domain string   // outside's name of the platform, which stands in for inside hosts; "": Leg.Host
	Shown  []string // further hosts that may be seen, in lower case: domains, advertised names, hosts of peers
	Bodies []string // types of bodies that leave besides the known ones, in lower case, if they are free of marks
	Marks  *Marks   // what names the inside; nil: nothing does
}

// A Veil is one state of the settings. It is never written after New, and any number of lanes may share it.
type Veil struct {
	keys   *seal.Keys
	cfg    Config
	shown  map[string]bool
	bodies map[string]bool

	targets, earlier, callIDs, etags, etagsIn *seal.Use
}

// New makes a Veil.
func New(keys *seal.Keys, cfg Config) *Veil {
	v := &Veil{keys: keys, cfg: cfg, shown: map[string]bool{strings.ToLower(cfg.Domain): cfg.Domain != ""}, bodies: map[string]bool{},
		targets: keys.Use(targetUse), earlier: keys.Use(earlierUse), callIDs: keys.Use(callIDUse), etags: keys.Use(etagUse), etagsIn: keys.Use(etagInUse)}
	for _, host := range cfg.Shown {
		v.shown[host] = true
	}
	for _, name := range cfg.Bodies {
		v.bodies[name] = true
	}
	return v
}

// MasksCallID reports whether dialogs that start inside get another Call-ID outside.
func (v *Veil) MasksCallID() bool { return v.cfg.CallID }

// shows reports whether host, as it stands in a URI, may be seen outside.
func (v *Veil) shows(host []byte) bool {
	var room [64]byte
	if len(host) > len(room) {
		return false
	}
	return v.shown[string(sip.AppendLower(room[:0], host))]
}

// A Leg is the way that a message takes, and what is known of its dialog.
type Leg struct {
	Host      string    // of ours, on the outside
	Edge      []byte    // how URIs of ours go on after "@" on the outside: "host:port" and the transport parameter, if any
	CallID    []byte    // the dialog's Call-ID as inside knows it
	Tag       []byte    // the platform's tag in it, empty if there is none
	Salt      uint32    // equal in a dialog, and no caller can make it so in another one
	Masked    bool      // outside knows another one
	Key       byte      // id of the key that it is masked with, on the way out
	Parties   bool      // the hosts in From and To are of inside's choice: the dialog, or the request, began there
	Registers bool      // Contacts are not touched: they are of a registration, whose bindings proxy knows
	At        time.Time // now
	Memo      *Memo     // of the transaction, for the next message of it; nil: there will be none

	// Knows tells how the party with that tag knows a dialog, if anything is known of it: by a Call-ID masked with the key of that id, or
	// unmasked with key 0, since it chose the Call-ID. No tag: any party. Nil: nothing is known.
	Knows func(callID, tag []byte) (key byte, known bool)
}
