package e2e

import (
	"slices"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A row is one row of the proxy conformance table (RFC 3261 §16 to §18 and companions).
type row struct {
	id   string
	what string
	ways []way
	keys siptest.Keys
	run  func(*rig)
}

// fast makes rows that wait short: 64*T1 is 1.3 s.
var fast = siptest.Keys{"timers": "{t1: 20ms, t2: 160ms, t4: 200ms, c: 1s, drain: 300ms}"}

// open lets unknown sources begin with any method.
var open = siptest.Keys{"access": "{unknown: any}"}

// placeholder is for rows that put their own peer in place.
var placeholder = siptest.Keys{"peers": "[]", "access": "{unknown: [REGISTER]}"}

// hiddenPeer is placeholder with the platform hidden.
var hiddenPeer = siptest.Keys{"peers": "[]", "access": "{unknown: [REGISTER]}", "topology": "{hide: true}"}

// monitor relays every well-formed request.
var monitor = siptest.Keys{"mode": "monitor", "access": "{unknown: any}"}

// rows are those built so far, in order. P21 and P22 run with one upstream. P30 is met with one flow-token Record-Route
// whose host each side sees as the edge's own address of that side.
var rows = []row{
	{"P1", "INVITE relayed, 100 at once, a Via of our own", both, nil, p1},
	{"P2", "180 and 200 relayed without our Via, in order", both, nil, p2},
	{"P3", "ACK to 2xx follows the route set with a new branch", both, nil, p3},
	{"P4", "ACK to non-2xx is absorbed, our own goes to the upstream", both, nil, p4},
	{"P5", "BYE from both sides along the route set", both, nil, p5},
	{"P6", "retransmitted INVITE is not a new one; last provisional again", both, nil, p6},
	{"P7", "retransmitted 200 to INVITE is relayed each time", both, nil, p7},
	{"P8", "retransmitted 4xx is ACKed each time and relayed once", both, nil, p8},
	{"P9", "Max-Forwards 70, 1, 0", both, nil, p9},
	{"P10", "Max-Forwards absent", both, nil, p10},
	{"P11", "loop", both, nil, p11},
	{"P12", "spiral", both, nil, p12},
	{"P13", "rport filled in", both, nil, p13},
	{"P14", "rport absent, sent-by differs", both, nil, p14},
	{"P15", "CANCEL before a provisional is held", both, nil, p15},
	{"P16", "CANCEL after 180", both, nil, p16},
	{"P17", "CANCEL after 200", both, nil, p17},
	{"P18", "CANCEL of nothing", both, nil, p18},
	{"P19", "CANCEL from another address", both, nil, p19},
	{"P20", "Timer C", both, fast, p20},
	{"P21", "dead upstream", both, fast, p21},
	{"P22", "upstream says 503", both, nil, p22},
	{"P23", "Proxy-Require unknown", both, nil, p23},
	{"P24", "Require unknown", both, nil, p24},
	{"P25", "Request-URI of an unknown scheme", both, nil, p25},
	{"P26", "SIP/3.0", both, nil, p26},
	{"P27", "unknown method refused by policy", both, nil, p27},
	{"P27-monitor", "unknown method relayed where policy allows", both, monitor, p27Monitor},
	{"P28", "unknown header fields unchanged and in order", both, nil, p28},
	{"P29", "Record-Route on INVITE, SUBSCRIBE, REFER, NOTIFY", both, open, p29},
	{"P30", "transports and address families mixed, both directions reachable", slices.Concat(mixes, across, secures, webs), nil, p30},
	{"P31", "Route with our token, altered token", both, nil, p31},
	{"P32", "strict routers", both, nil, p32},
	{"P33", "in-dialog request with a wrong route", both, nil, p33},
	{"P34", "To tag, but no token", both, nil, p34},
	{"P35", "forks inside: each final relayed", both, nil, p35},
	{"P36", "challenges and credentials pass unchanged", both, nil, p36},
	{"P37", "REGISTER with Path", both, siptest.Keys{"registrations": "{path: true}"}, p37},
	{"P38", "REGISTER 200: own Contact back, expires learned", both, nil, p38},
	{"P39", "GRUU, +sip.instance, reg-id, outbound", both, nil, p39},
	{"P40", "CRLFCRLF on a stream is answered with CRLF", []way{tcp, secures[0], webs[0], webs[1]}, nil, p40},
	{"P41", "CRLF over UDP: silence", []way{udp}, nil, p41},
	{"P42", "STUN on the SIP port: silence", []way{udp}, nil, p42},
	{"P43", "call over the phone's own connection; dead flow 430", []way{tcp, secures[0], webs[0], webs[1]}, nil, p43},
	{"P44", "Max-Breadth", both, nil, p44},
	{"P45", "100rel and PRACK", both, nil, p45},
	{"P46", "UPDATE, INFO, REFER, NOTIFY, SUBSCRIBE, PUBLISH, MESSAGE in a dialog", both, nil, p46},
	{"P48", "session timers", both, nil, p48},
	{"P49", "sips never leaves over what is not encrypted", append(both, secures[0], secures[1], webs[0], webs[1]), nil, p49},
	{"P50", "a large request goes over TCP where configured, and falls back; replies are sent whole", []way{udp}, nil, p50},
	{"P51", "Call-ID masked, tags unchanged, over reload and restart", both, hiding, p51},
	{"P52", "Replaces, Join, Target-Dialog, In-Reply-To, Refer-To under masked Call-IDs", both, hiding, p52},
	{"P53", "no address, name or product of the platform leaves in a header field", both, concealed(open), p53},
	{"P54", "3xx: Contacts masked, and they work", both, hiding, p54},
	{"P55", "forks inside: every early dialog usable", both, hiding, p55},
	{"P57", "compact forms in, long forms out", both, nil, p57},
	{"P58", "IPv6 on both sides", slices.Concat(sixes, webs[3:]), nil, p58},
	{"P59", "upstream by NAPTR and SRV, TTL, dead DNS", both, nil, p59},
	{"P60", "WebSocket", webs, nil, p60},
	{"P61", "OPTIONS to the edge", both, nil, p61},
	{"P62", "drain", both, siptest.Keys{"timers": "{drain: 20s}"}, p62},
	{"P62-registered", "a drain: phones with a call keep their registration, others move", both, nil, p62Registered},
	{"P63", "preloaded Route", both, nil, p63},
	{"P64", "refresh from a new port or connection", append(both, secures[0], webs[1]), nil, p64},
	{"P65", "the platform registers at a provider; calls both ways", both, placeholder, p65},
	{"P65-hidden", "the same with topology.hide", both, hiddenPeer, p65},
	{"P66", "two passes through one edge, and how much messages grow", twice, open, p66},
	{"P66-hidden", "the same with topology.hide", twice, siptest.Keys{"access": "{unknown: any}", "topology": "{hide: true}"}, p66},
	{"P67", "merged request; two calls with one Call-ID", both, nil, p67},
	{"P68", "REGISTER 200 with several bindings", both, nil, p68},
	{"P69", "Via without the magic cookie", both, nil, p69},
}

// TestConformance runs every row against the whole binary, over each transport it is about.
func TestConformance(t *testing.T) {
	for _, row := range rows {
		t.Run(row.id, func(t *testing.T) {
			t.Parallel() // rows wait more than they work
			for _, w := range row.ways {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					row.run(newRig(t, w, row.keys))
				})
			}
		})
	}
}
