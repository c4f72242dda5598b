package proxy

import (
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
)

// Reasons of the proxy's own verdicts; docs/reasons.md explains each to the operator.
const (
	reasonScheme       edge.Reason = "request.scheme"        // 416
	reasonSIPS         edge.Reason = "request.sips"          // 416, 480: sips over a hop that is not encrypted
	reasonHidden       edge.Reason = "request.uri_headers"   // 400: header fields hidden in a URI
	reasonMaxForwards  edge.Reason = "request.max_forwards"  // 483
	reasonMaxBreadth   edge.Reason = "request.max_breadth"   // 440
	reasonLoop         edge.Reason = "request.loop"          // 482
	reasonProxyRequire edge.Reason = "request.proxy_require" // 420

	reasonMethod   edge.Reason = "access.method"   // the trust class may not start with this method
	reasonDomain   edge.Reason = "access.domain"   // not a domain of ours
	reasonStranger edge.Reason = "inside.stranger" // inside listener used by who is neither upstream nor inside.sources

	reasonSoft       edge.Reason = "ban.soft"  // a new request of a source that is banned without proof, or whose calls alone are spared
	reasonProtected  edge.Reason = "ban.never" // a check asked for a ban of who is never banned
	reasonBanRefused edge.Reason = "ban.full"  // the ban book takes no more

	reasonDoubted   edge.Reason = "challenge.source"   // a greylisted source is to prove itself first
	reasonAppeal    edge.Reason = "challenge.ban"      // the same of one that is banned without proof
	reasonTries     edge.Reason = "challenge.password" // the same of one that gave wrong passwords of that user
	reasonNonce     edge.Reason = "challenge.nonce"    // credentials for a nonce that never went there are taken off: the platform asks anew
	reasonUnified   edge.Reason = "unify.user"         // a challenge in place of the platform's denial
	reasonUnifiedPW edge.Reason = "unify.password"     // credentials of a denied user, refused as wrong passwords are

	reasonDialog     edge.Reason = "dialog.unknown"     // To tag, but no route token of ours
	reasonForged     edge.Reason = "dialog.token"       // a route token that does not verify
	reasonAstray     edge.Reason = "dialog.target"      // in a dialog, and to go elsewhere than to its far end
	reasonTarget     edge.Reason = "topology.token"     // a Request-URI that is a token which does not verify
	reasonExpired    edge.Reason = "topology.expired"   // the same, and one that did for five weeks
	reasonNoCancel   edge.Reason = "cancel.unmatched"   // CANCEL of nothing on record
	reasonChallenge  edge.Reason = "reply.challenge"    // a stranger outside asks the platform for credentials
	reasonStrayReply edge.Reason = "reply.unmatched"    // response to nothing that we sent
	reasonNoTarget   edge.Reason = "route.unknown"      // from inside, to nobody we know
	reasonName       edge.Reason = "route.name"         // the DNS does not say where a host is that the platform names
	reasonNameBusy   edge.Reason = "route.busy"         // too many requests wait for look-ups
	reasonStrict     edge.Reason = "route.strict"       // the next Route is of a strict router
	reasonGuard      edge.Reason = "route.guard"        // egress guard
	reasonDeadFlow   edge.Reason = "flow.dead"          // the connection or address of a phone is gone
	reasonUpstream   edge.Reason = "upstream.down"      // the platform can't be reached
	reasonPeer       edge.Reason = "peer.down"          // a peer can't be reached
	reasonPeerCalls  edge.Reason = "peer.calls"         // the peer has as many calls as it may have
	reasonPeerRate   edge.Reason = "peer.rate"          // the peer's calls come faster than they may
	reasonDrain      edge.Reason = "drain"              // no new work is taken
	reasonFull       edge.Reason = "limit.transactions" // table or share full
	reasonMemory     edge.Reason = "limit.memory"       // nothing new, since memory is short
	reasonOutgrown   edge.Reason = "reply.outgrown"     // the answer would be larger than 1.3 times a request that may be forged
	reasonPanic      edge.Reason = "internal.panic"     // 500: handling the message failed by a mistake of ours
	reasonOften      edge.Reason = "reply.often"        // more answers of our own than a source that may be forged gets
	reasonHeaders    edge.Reason = "limit.headers"      // more header fields than limits.headers
	reasonHeader     edge.Reason = "limit.header"
	reasonURI        edge.Reason = "limit.uri"
	reasonVias       edge.Reason = "limit.vias"
	reasonParameters edge.Reason = "limit.parameters"
	reasonBindings   edge.Reason = "limit.bindings"
	reasonContact    edge.Reason = "register.contact" // a Contact that can't be bound
	reasonNotSIP     edge.Reason = "malformed.not_sip"
	reasonLeak       edge.Reason = "topology.leak"   // what names the inside in a message to outside
	reasonMedia      edge.Reason = "topology.media"  // the same in a session description, and media is not relayed
	reasonExempt     edge.Reason = "topology.exempt" // the same where it can't be replaced: tags, digest fields
	reasonBody       edge.Reason = "topology.body"   // a body that may not leave was taken out
	reasonMediaFull  edge.Reason = "media.full"      // no port, or no place on record, for the media of a call
	reasonMediaShare edge.Reason = "media.share"     // strangers have all that they may have of it
	reasonMediaDown  edge.Reason = "media.down"      // no rtpengine takes a call, or answers
	reasonMediaBusy  edge.Reason = "media.busy"      // too many messages wait for rtpengine
	reasonStraySDP   edge.Reason = "media.stray"     // a session description that is no offer and no answer was taken out
	reasonEncoded    edge.Reason = "media.encoded"   // 415: a session description behind a Content-Encoding
)

// Reasons lists every reason that this room gives, for metrics that must know them up front.
func Reasons() []edge.Reason {
	return []edge.Reason{reasonScheme, reasonSIPS, reasonHidden, reasonChallenge, reasonOften, reasonPanic,
		reasonHeaders, reasonHeader, reasonURI, reasonVias, reasonParameters, reasonMaxForwards, reasonMaxBreadth, reasonLoop, reasonProxyRequire, reasonMethod,
		reasonDomain, reasonStranger, reasonDialog, reasonForged, reasonAstray, reasonTarget, reasonExpired, reasonNoCancel, reasonStrayReply, reasonNoTarget,
		reasonName, reasonNameBusy, reasonStrict, reasonGuard, reasonDeadFlow, reasonUpstream, reasonPeer, reasonPeerCalls, reasonPeerRate, reasonDrain, reasonFull, reasonMemory, reasonOutgrown, reasonBindings, reasonContact, reasonNotSIP,
		reasonLeak, reasonMedia, reasonExempt, reasonBody, reasonMediaFull, reasonMediaShare, reasonMediaDown, reasonMediaBusy, reasonStraySDP, reasonEncoded,
		reasonSoft, judge.ReasonSpoof, reasonProtected, reasonBanRefused, reasonDoubted, reasonAppeal, reasonTries, reasonNonce, reasonUnified, reasonUnifiedPW}
}
