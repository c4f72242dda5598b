package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// problems parses text and returns "line:col path: message | hint" for each mistake.
func problems(t *testing.T, text string) []string {
	t.Helper()
	_, err := Parse("f", []byte(text))
	if err == nil {
		return nil
	}
	var all Errors
	if !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("Parse(%q): %T %v, want Errors", text, err, err)
	}
	var out []string
	for _, p := range all {
		out = append(out, fmt.Sprintf("%d:%d %s: %s | %s", p.Line, p.Col, p.Path, p.Message, p.Hint))
	}
	return out
}

// TestSevenMistakes is the promise: one run tells all.
func TestSevenMistakes(t *testing.T) {
	_, err := Parse("ringwall.yaml", []byte(`outside:
  listn: [udp:203.0.113.5:5060]
  advertise: [sbc.example.com]
inside:
  listen: [udp:10.0.0.300:5070]
registrations: {keepalive: 25}
topology: {guard: loud}
log: {level: inof}
mode: monitor
mode: enforce
`))
	want := `ringwall.yaml:2:3: outside.listn: unknown key
      listn: [udp:203.0.113.5:5060]
      ^
    hint: did you mean listen?
ringwall.yaml:3:14: outside.advertise: wants text, not a list
      advertise: [sbc.example.com]
                 ^
ringwall.yaml:5:12: inside.listen[0]: "10.0.0.300" is not an address
      listen: [udp:10.0.0.300:5070]
               ^
    hint: write an IPv4 address, or an IPv6 address in brackets; names are not looked up here
ringwall.yaml:6:28: registrations.keepalive: 25 has no unit
    registrations: {keepalive: 25}
                               ^
    hint: write 25s or 25ms
ringwall.yaml:7:19: topology.guard: "loud" is not a choice
    topology: {guard: loud}
                      ^
    hint: one of off, log, block
ringwall.yaml:8:14: log.level: "inof" is not a choice
    log: {level: inof}
                 ^
    hint: did you mean info?
ringwall.yaml:10:1: mode: stands twice, first on line 9
    mode: enforce
    ^
    hint: keep one of the two`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// TestMistakes has one mistake a row; each must give exactly one problem, which contains want.
func TestMistakes(t *testing.T) {
	rows := []struct{ text, want string }{
		// shape
		{"just text", "1:1 : a configuration is a mapping (key: value), this is text"},
		{"[a]", "this is a list"},
		{"version: 2", "1:10 version: this ringwall reads version 1"},
		{"version: one", "version: wants a number, not text"},
		{"outsde: {}", "did you mean outside?"},
		{"mode:monitor", "a blank stands after the colon"},
		{"log: {level:info}", `put a blank after the colon: "level: info"`},
		{"quux: 1", "unknown key | one of version, outside"},
		{"checks: {flood: enforce}", "checks.flood: wants a mapping (key: value), not text | write {mode: …}, with any of mode, rate"},
		{"upstreams: ['sip:10.0.0.10']", "upstreams[0]: wants a mapping (key: value), not text | write {uri: …}, with any of uri, weight"},
		{"upstreams: {uri: 'sip:a'}", "upstreams: wants a list, not a mapping (key: value) | put brackets around it, or a dash before it"},
		{"upstreams: sip:10.0.0.10", "upstreams: wants a list, not text | write [{…}], with a pair of braces for each entry"},
		{"media: {ports: 30000}", `media.ports: "30000" is not a range of ports | write first and last port`},
		{"media: {relay: true}", `media.relay: "true" is not a choice | one of off`},
		{"state: 5", `state: wants text, not a number | write "5"`},
		{"bans: {first: 0s}", "bans.first: 0s is not from 1s to 365d |"},
		{"timers: {c: 0s}", "timers.c: 0s is not from 1s to 24h |"},
		{"admin: {http: 127.0.0.1}", "has no port, or an IPv6 address without brackets | write 127.0.0.1:7060, or off for none"},
		{"admin: {http: yes}", `admin.http: "yes" is not an address and a port | write 127.0.0.1:7060, or off for none`},
		{"outside: 5", "outside: wants a mapping (key: value), not a number"},
		{"outside:", "1:1 outside: has no value (null)"},
		{"outside: ~", "has no value (null)"},
		{"outside: {listen: null}", "outside.listen: has no value (null)"},
		{"outside: {listen: [null]}", "outside.listen[0]: has no value"},
		{"outside: {listen}", "outside.listen: has no value"},
		{"domains:\n-\n", "domains[0]: has no value"},
		{"peers:", "peers: has no value"},
		{"checks: {flood: {mode: }}", "checks.flood.mode: has no value"},
		{"domains: !x 5", "1:10 : tags"},
		{"domains: &a [x]", "anchors"},
		{"domains: *a", "aliases"},
		{"<<: {mode: monitor}", "merge keys"},
		{"? mode\n: monitor", "? key"},
		{"%YAML 1.2\n---\nmode: monitor", "directives"},
		{"state: |\n  x\n", "block texts"},
		{"mode: monitor\n---\nmode: monitor", "2:1 : a second document"},
		{"mode: monitor\nmode: monitor", "2:1 mode: stands twice, first on line 1"},
		{"log: {level: info, level: info}", "log.level: stands twice"},
		{"domains: [a, b", "not YAML"},
		{"state: \"x", "not YAML"},
		{"log:\n\tlevel: info", "not YAML"},
		{"mode: monitor\x00", "control character U+0000"},
		{"# \x1b[31m", "control character U+001B"},
		{"# \u202e", "control character U+202E"},
		{"mode: monitor\rstate: x", "control character U+000D"},
		{"state: \xff", "not UTF-8"},
		{"domains: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested deeper than 32"},
		{strings.Repeat("- ", 100) + "x", "nested deeper than 32"},
		// listeners
		{"outside: {listen: []}", "is empty"},
		{"outside: {listen: udp:1.2.3.4:5060}", `write ["udp:1.2.3.4:5060"]`},
		{"outside: {listen: [sctp:1.2.3.4:5060]}", "does not begin with udp:, tcp:, tls:, ws: or wss:"},
		{"outside: {listen: [tls:1.2.3.4:5061]}", "tls:1.2.3.4:5061 needs a certificate"},
		{"outside: {listen: [wss:1.2.3.4:443]}", "wss:1.2.3.4:443 needs a certificate"},
		{"outside: {listen: [udp:1.2.3.4]}", "add the port: 1.2.3.4:5060"},
		{`outside: {listen: ["udp:2001:db8::1"]}`, "add the port: [2001:db8::1]:5060"},
		{`outside: {listen: ["udp:2001:db8::1:5060"]}`, "without brackets"},
		{`outside: {listen: ["udp:[1.2.3.4]:5060"]}`, "is not an address"},
		{`outside: {listen: ["udp:[fe80::1%eth0]:5060"]}`, "has a zone"},
		{"outside: {listen: [udp:sbc.example.com:5060]}", "names are not looked up"},
		{"outside: {listen: [udp:1.2.3.4:0]}", "port 0 is not"},
		{"outside: {listen: [udp:*:0]}", "port 0 is not"},
		{"outside: {listen: [udp:1.2.3.4:65536]}", `port "65536"`},
		{"outside: {listen: [udp:*:sip]}", `port "sip"`},
		{"outside: {listen: [udp:1.2.3.4:5060, udp:1.2.3.4:5060]}", "outside.listen[1]: udp:1.2.3.4:5060 is taken by outside.listen[0] (f:1)"},
		{"outside: {listen: [udp:*:5060, udp:1.2.3.4:5060]}", "a listener on every address"},
		{"outside: {listen: [udp:0.0.0.0:5060, udp:1.2.3.4:5060]}", "is taken by"},
		{"outside: {listen: [udp:1.2.3.4:5060]}\ninside: {listen: [udp:1.2.3.4:5060]}", "2:19 inside.listen[0]: udp:1.2.3.4:5060 is taken by outside.listen[0]"},
		{"inside: {listen: [udp:10.0.0.1:5060]}", "inside.listen[0]: udp:10.0.0.1:5060 is taken by outside.listen[0] |"},
		{"outside: {listen: [tcp:127.0.0.1:7060]}", "is taken by admin.http"},
		{"outside: {listen: [udp:*:5070]}", "takes the port of inside listeners"},
		{"outside: {advertise: 'sbc.example.com:5060'}", "is not a host name"},
		{"outside: {advertise: 203.0.113.500}", "is not a host name"},
		{"outside: {advertise: 0.0.0.0}", "nobody can call"},
		{"outside: {advertise: -x-}", "is not a host name"},
		{"outside: {advertise: " + strings.Repeat("a.", 130) + "b}", "is not a host name"},
		// inside
		{"inside: {sources: [0.0.0.0/0]}", "trusts too much"},
		{"inside: {sources: ['::/0']}", "trusts too much"},
		{"inside: {sources: [128.0.0.0/1]}", "trusts too much"},
		{"inside: {sources: [10.0.0.1/24]}", "write 10.0.0.0/24, or 10.0.0.1"},
		{"inside: {sources: [10.0.0.0/33]}", "is not an address or a prefix"},
		{"inside: {sources: ['::ffff:10.0.0.0/120']}", "in the form of IPv6"},
		{"inside: {sources: ['fe80::1%eth0']}", "is not an address or a prefix"},
		{"inside: {sources: [10.0.0.0/24, 10.0.0.0/24]}", "inside.sources[1]: 10.0.0.0/24 stands twice"},
		// upstreams
		{"upstreams: {uri: 'sip:a'}", "upstreams: wants a list, not a mapping"},
		{"upstreams: [{}]", "upstreams[0]: has no uri"},
		{"upstreams: [{uri: 'http://a'}]", "is not a SIP URI"},
		{"upstreams: [{uri: 'sips:a'}]", "write sip:pbx.example.com;transport=tls"},
		{"upstreams: [{uri: 'sip:user@a'}]", "has more than host"},
		{"upstreams: [{uri: 'sip:a:99999'}]", "is not from 1 to 65535"},
		{"upstreams: [{uri: 'sip:2001:db8::1'}]", "is an IPv6 address without brackets"},
		{"upstreams: [{uri: 'sip:0.0.0.0:5060'}]", "nothing can be sent"},
		{"upstreams: [{uri: 'sip:a;transport=tls'}]", "no inside listener has the transport"},
		{"upstreams: [{uri: 'sip:a;maddr=b'}]", "is not known"},
		{"upstreams: [{uri: 'sip:a', weight: 101}]", "upstreams[0].weight: "},
		{"upstreams: [{priority: 0, uri: 'sip:a'}]", "upstreams[0].priority: "},
		{"upstreams: [{uri: 'sip:a'}, {uri: 'sip:A:5060'}]", "upstreams[1].uri: sip:A:5060 stands twice"},
		{"outside: {listen: [udp:1.2.3.4:5060]}\nupstreams: [{uri: 'sip:1.2.3.4'}]", "is ringwall itself, by outside.listen[0]"},
		{"inside: {listen: [udp:10.0.0.1:5070]}\nupstreams: [{uri: 'sip:10.0.0.2;transport=tcp'}]", "no inside listener has the transport"},
		{"inside: {listen: [udp:10.0.0.1:5070]}\nupstreams: [{uri: 'sip:[2001:db8::2]'}]", "of the kind of udp:[2001:db8::2]:5070"},
		{"upstreams: [{uri: 'sip:a;transport=tcp', large: tcp}]", "upstreams[0].large: needs an upstream over UDP"},
		{"upstreams: [{uri: 'sip:a', large: udp}]", "upstreams[0].large: \"udp\" is not a choice"},
		// peers
		{"peers: [{uri: 'sip:a'}]", "1:9 peers[0]: has no name"},
		{"peers: [{name: a}]", "peers[0]: has no uri"},
		{"peers: [{name: Carrier, uri: 'sip:a'}]", "peers[0].name: \"Carrier\" is not the name of a peer"},
		{"peers: [{name: a, uri: 'sip:a'}, {name: a, uri: 'sip:b'}]", "peers[1].name: there is another peer a"},
		{"peers: [{name: a, uri: 'sip:a', match: [0.0.0.0/0]}]", "peers[0].match[0]: 0.0.0.0/0 trusts too much of the internet"},
		{"peers: [{name: a, uri: 'sip:a', match: [128.0.0.0/1]}]", "trusts too much"},
		{"peers: [{name: a, uri: 'sip:a', match: ['::/0']}]", "trusts too much"},
		{"peers: [{name: a, uri: 'sip:a', match: [192.0.2.1/24]}]", "write 192.0.2.0/24, or 192.0.2.1"},
		{"peers: [{name: a, uri: 'sip:a', match: [192.0.2.300]}]", "is not an address, a prefix or a name"},
		{"peers: [{name: a, uri: 'sip:a', match: ['::ffff:192.0.2.0/120']}]", "is not an address, a prefix or a name"},
		{"inside: {sources: [10.0.0.0/24]}\npeers: [{name: a, uri: 'sip:a', match: [10.0.0.0/16]}]", "2:41 peers[0].match[0]: 10.0.0.0/16 overlaps inside.sources"},
		{"upstreams: [{uri: 'sip:10.0.0.2'}]\npeers: [{name: a, uri: 'sip:a', match: [10.0.0.0/30]}]", "holds the upstream sip:10.0.0.2"},
		{"upstreams: [{uri: 'sip:10.0.0.2'}]\npeers: [{name: a, uri: 'sip:10.0.0.2'}]", "peers[0].uri: 10.0.0.2/32 holds the upstream"},
		{"outside: {listen: [udp:192.0.2.1:5060]}\npeers: [{name: a, uri: 'sip:a', match: [192.0.2.0/28]}]", "holds ringwall's own address (outside.listen[0])"},
		{"outside: {listen: [udp:192.0.2.1:5060]}\npeers: [{name: a, uri: 'sip:192.0.2.1', match: [192.0.2.8]}]", "is ringwall itself"},
		{"peers: [{name: a, uri: 'sip:a', match: [192.0.2.8]}, {name: b, uri: 'sip:b', match: [192.0.2.8]}]", "is matched by peer a already"},
		{"peers: [{name: a, uri: 'sip:a;transport=tls'}]", "no outside listener has the transport of peer a, tls"},
		{"peers: [{name: a, uri: 'sip:a;transport=tcp', transport: udp}]", "the uri says tcp, transport says udp"},
		{"peers: [{name: a, uri: 'sip:a', transport: ws}]", "is not a choice"},
		{"peers: [{name: a, uri: 'sip:a', transport: tcp, large: tcp}]", "peers[0].large: is for peers over UDP"},
		{"outside: {listen: [udp:*:5060]}\npeers: [{name: a, uri: 'sip:a', large: tcp}]", "peers[0].large: no outside listener is tcp"},
		{"peers: [{name: a, uri: 'sip:a', calls: 0}]", "is not a whole number from 1"},
		{"peers: [{name: a, uri: 'sip:a', rate: 10}]", "peers[0].rate: \"10\" is not a rate from 1 to 10000 in a second, minute or hour | write 10/s"},
		{"peers: [{name: a, uri: 'sip:a', rate: 0/s}]", "is not a rate from 1 to 10000"},
		{"peers: [{name: a, uri: 'sip:a', rate: 5/d}]", "write 10/s, 100/m or 1000/h"},
		{"peers: [{name: a, uri: 'sip:a', client_certificate: require}]", "peers[0].client_certificate: is for peers over TLS; a is reached over udp"},
		{"peers: [{name: a, uri: 'sip:a', client_certificate: ask}]", "one of off, require"},
		{"peers: [{name: a, uri: 'sip:a', ca: ca.pem}]", "peers[0].ca: is for a server over TLS, sip:a is not"},
		{"outside: {listen: [tls:1.2.3.4:5061]}\ntls: {certificate: c, key: k}\npeers: [{name: a, uri: 'sip:a', transport: tls, key: k.pem}]",
			"peers[0].key: stands alone | add certificate"},
		// the rest
		{"domains: [example.com, EXAMPLE.com]", "domains[1]: example.com stands twice"},
		{"domains: ['sip:x@example.com']", "is not a domain"},
		{"domains: ['*.example.com']", "is not a domain"},
		{"domains: [5]", `domains[0]: "5" is not a host name or an address | write a name`},
		{"registrations: {path: yes}", "write true or false, without quotes"},
		{"inside: {names: never}", "inside.names: "},
		{"registrations: {keepalive: 1ms}", "less than 1s"},
		{"registrations: {keepalive: 11m}", "is not from 0s to 10m |"},
		{"registrations: {keepalive: soon}", "is not a length of time"},
		{"timers: {t1: 10s}", "timers.t1: t1 (10s) is longer than t2 (4s)"},
		{"timers: {t2: 100ms}", "timers.t2: t1 (500ms) is longer"},
		{"timers: {t1: -5s}", "is not from 1ms to 10s"},
		{"af_xdp: {interfaces: [lo]}", "lo is the loopback interface, which no network card is behind | leave it out"},
		{"af_xdp: {interfaces: [eth0/1]}", `af_xdp.interfaces[0]: "eth0/1" is not the name of a network interface | ip link lists them`},
		{"af_xdp: {interfaces: [eth0, eth0]}", "af_xdp.interfaces[1]: eth0 stands twice"},
		{"af_xdp: {mode: native}", "af_xdp.mode: "},
		{"limits: {memory: 1MiB}", "is not from 64MiB to"},
		{"limits: {memory: much}", "512MiB or 2GiB, or auto"},
		{"limits: {message: 65KiB}", "is not from 2KiB to 64KiB"},
		{"limits: {message: 99999999999999999999GiB}", "is not a size"},
		{"limits: {connections: 15}", "limits.connections: 15 is not a whole number from 16 to 1000000"},
		{"limits: {connections: all}", "limits.connections: wants a number, not text"},
		{"limits: {connections: [auto]}", "limits.connections: wants a number or text, not a list"},
		{"limits: {calls: 0}", "is not a whole number from 1"},
		{"limits: {calls: 1.5}", "is not a whole number from 1"},
		{"limits: {calls: '5'}", "write digits without quotes"},
		{"access: {unknown: all}", "wants any or a list of methods"},
		{"access: {unknown: 5}", "access.unknown: wants a list, not a number"},
		{"access: {unknown: [REGSITER]}", "did you mean REGISTER?"},
		{"access: {unknown: [invite]}", "did you mean INVITE?"},
		{"access: {unknown: [INVITE, INVITE]}", "INVITE stands twice"},
		{"headers: {source: Via}", "means something else in SIP"},
		{"headers: {source: 'X Source'}", "is not the name of a header field"},
		{"headers: {source: v}", "is not from 2 to 64"},
		{"admin: {http: 0.0.0.0:7060}", "loopback"},
		{"admin: {http: localhost:7060}", "is not an address"},
		{"admin: {socket: /" + strings.Repeat("x", 107) + "}", "a socket's path can have 107"},
		{"state: /var/lib/", "is not the name of a file"},
		{"state: ''", "is not the name of a file"},
		{"state: /a\ntopology: {key_file: /a}", "is the path of state too"},
		{"log: {format: xml}", "one of text, json"},
		{"mode: monitr", "did you mean monitor?"},
		// rooms of later versions
		{"outside: {proxy_protocol: [10.0.0.1/24]}", "outside.proxy_protocol[0]: 10.0.0.1/24 has bits set beyond its length | write 10.0.0.0/24"},
		{"outside: {proxy_protocol: [0.0.0.0/0]}", "may claim any source | name the addresses of the load balancers"},
		{"outside: {proxy_protocol: [10.0.0.1, 10.0.0.1]}", "outside.proxy_protocol[1]: 10.0.0.1/32 stands twice"},
		{"outside: {proxy_protocol: [lb.example.com]}", "is not an address or a prefix"},
		{"outside: {proxy_protocol: [10.0.0.1], listen: [udp:1.2.3.4:5060]}", "outside.proxy_protocol: no outside listener has connections"},
		{"tls: {certificate: c}", "tls: has no key"},
		{"inside: {listen: [ws:10.0.0.1:80]}", "WebSocket is for clients outside"},
		{"tls: {key: k}", "tls: has no certificate"},
		{"tls: [{certificate: c, key: k}, {key: k}]", "tls[1]: has no certificate"},
		{"tls: {certificate: c, key: k, client_certificates: require}", "without client_ca"},
		{"tls: {certificate: c, key: k, client_certificates: maybe}", "one of off, ask, require"},
		{"tls: {certificate: c, key: k}\noutside: {listen: [tls:1.2.3.4:5060, tcp:1.2.3.4:5060]}", "is taken by outside.listen[0]"},
		{"topology: {mask_call_id: 1}", "topology.mask_call_id"},
		{"topology: {guard: loud}", "one of off, log, block"},
		{"topology: {hide: false, guard: block}", "topology.guard: would block nearly every message"},
		{"topology: {bodies: [isup]}", "is not the type of a body"},
		{"topology: {bodies: [multipart/mixed]}", "is looked into part by part"},
		{"topology: {bodies: [a/b, A/B]}", "topology.bodies[1]"},
		{"identity: {server: \"\u00e9\"}", "is not printable ASCII"},
		{"headers: {to_outside: {allow: [v]}}", "Via is always hidden"},
		{"media: {relay: on}", "media.relay: \"on\" is not a choice | one of off, builtin, rtpengine"},
		{"media: {ports: 30000}", "media.ports"},
		{"media: {ports: 500-2000}", "begins below 1024"},
		{"media: {ports: 30000-30010}", "has less than 16 ports"},
		{"media: {address: pbx}", "media.address: \"pbx\" is not an address"},
		{"media: {inside_address: 0.0.0.0}", "media.inside_address: 0.0.0.0 is not the address of one machine"},
		{"media: {latch: loose}", "one of strict, prefix24, any"},
		{"media: {latch: {peer: any}}", "media.latch.peer: \"any\" is not a choice"},
		{"media: {relay: rtpengine}", "media.rtpengine: names no server"},
		{"media: {rtpengine: [127.0.0.1:2223]}", "does not begin with udp:"},
		{"media: {rtpengine: [udp:0.0.0.0:2223]}", "is not the address of one server"},
		{"media: {relay: rtpengine, rtpengine: [udp:127.0.0.1:2223, udp:127.0.0.1:2223]}", "media.rtpengine[1]: 127.0.0.1:2223 stands there twice"},
		{"media: {silence: {after: 500ms}}", "media.silence.after: 500ms is less than 1s"},
		{"media: {relay: builtin, ports: 5000-6000}", "media.ports: holds the port of udp"},
		{"media: {silence: {end: maybe}}", "media.silence.end"},
		{"media: {journal: sometimes}", "media.journal"},
		{"media: {packets: many}", "media.packets"},
		{"media: {threads: 0}", "media.threads: 0 is not a whole number from 1 to 64"},
		{"media: {coalesce: 30ms}", "media.coalesce: 30ms is not from 0s to 20ms"},
		{"media: {silence: {after: 0s, end: true}}", "media.silence.end: would end calls whose media stopped"},
		{"trust: {never_ban: [office]}", "trust.never_ban[0]: \"office\" is not an address or a prefix"},
		{"trust: {never_ban: [0.0.0.0/0]}", "trust.never_ban[0]: 0.0.0.0/0 is too much of the internet"},
		{"trust: {never_ban: [\"2001:db8::1\", \"2001:db8::2\"]}", "trust.never_ban[1]: 2001:db8::/64 stands twice"},
		{"trust: {realm: 'a\"b'}", "trust.realm: \"a\\\"b\" is not from 1 to 128 plain characters"},
		{"trust: {challenge: on}", "trust.challenge: "},
		{"access: {unify: sometimes}", "access.unify: \"sometimes\" is not a choice"},
		{"access: {unify: [x]}", "access.unify"},
		{"access: {open_inbound: [\"sip:x@y\"]}", "access.open_inbound[0]: \"sip:x@y\" is not a domain"},
		{"access: {not_unified: [x.org, X.org]}", "access.not_unified[1]: x.org stands twice"},
		{"headers: {from_outside: {remove: [\"X Y\"]}}", "is not the name of a header field"},
		{"headers: {from_outside: {remove: ['']}}", "is not from 1 to 64 characters long"},
		{"headers: {from_outside: {remove: [v]}}", "SIP does not work without Via"},
		{"headers: {from_outside: {allow: [path]}}", "Path would let strangers choose the way"},
		{"headers: {from_outside: {remove: [X-A, x-a]}}", "headers.from_outside.remove[1]: x-a stands in headers.from_outside.remove, too"},
		{"headers: {from_outside: {remove: [Identity], allow: [y]}}", "headers.from_outside.allow[0]: y stands in headers.from_outside.remove, too"},
		{"headers: {from_outside: {allow: [x-source]}}", "is headers.source: what outside writes there is a forgery"},
		{"limits: {headers: 257}", "limits.headers: 257 is not a whole number from 16 to 256"},
		{"limits: {header: 17KiB}", "limits.header: 17KiB is not from 512B to 16KiB"},
		{"limits: {uri: 100B}", "limits.uri: 100B is not from 256B to 4KiB"},
		{"limits: {vias: 1}", "limits.vias: 1 is not"},
		{"limits: {parameters: 65}", "limits.parameters: 65 is not"},
		{"checks: {flood: {mode: on}}", "checks.flood.mode"},
		{"checks: {mode: enforced}", "did you mean enforce?"},
		{"checks: {flod: {mode: monitor}}", "did you mean flood?"},
		{"checks: {flood: {rate: 10}}", "checks.flood.rate"},
		{"checks: {flood: {strangers: 0/s}}", "checks.flood.strangers"},
		{"checks: {flood: {rate: 20/s, reqs_density_per_unit: 20}}", "says how much twice"},
		{"checks: {flood: {reqs_density_per_unit: 20}}", "needs sampling_time_unit and reqs_density_per_unit together"},
		{"checks: {flood: {burst: 0}}", "checks.flood.burst: 0 is not a whole number"},
		{"checks: {lockout: {failures: 17}}", "checks.lockout.failures: 17 is not a whole number from 1 to 16"},
		{"checks: {lockout: {ban: 30}}", "30 has no unit"},
		{"checks: {spray: {users: 200}}", "100 is less than the users of one port (200)"},
		{"checks: {bruteforce: {slowly: 8}}", "checks.bruteforce.slowly: 8 is not a whole number from 9 to 1000"},
		{"checks: {spray: {group: 65}}", "checks.spray.group: 65 is not a whole number from 2 to 64"},
		{"checks: {spray: {learning: 7}}", "7 has no unit"},
		{"checks: {dialprefix: {calls: 1}}", "checks.dialprefix.calls: 1 is not a whole number from 2 to 16"},
		{"checks: {dialprefix: {variants: 9}}", "8 is less than the variants of strangers (9)"},
		{"checks: {scanner: {rate: 1/s}}", "checks.scanner.rate: unknown key"},
		{"bans: {first: 0s}", "bans.first: 0s is not from 1s to"},
		{"bans: {first: d}", "bans.first: \"d\" is not a length of time"},
		{"bans: {longest: 70000d}", "bans.longest: \"70000d\" is not a length of time"},
		{"bans: {longest: 1d-2h}", "bans.longest: \"1d-2h\" is not a length of time"},
		{"bans: {first: 1h, longest: 10m}", "bans.longest: is less than bans.first"},
		{"gate: {driver: auto}", "gate.driver: not in this version (only soft is)"},
		{"decoy: {enabled: true}", "decoy.enabled: not in this version (only false is)"},
	}
	for _, row := range rows {
		got := problems(t, row.text)
		if len(got) != 1 || !strings.Contains(got[0], row.want) {
			t.Errorf("%.60q:\n got %q\nwant %q", row.text, got, row.want)
		}
	}
}

// TestBrokenSyntaxHidesNothing: a slip of syntax in one section does not hide mistakes in the others.
func TestBrokenSyntaxHidesNothing(t *testing.T) {
	got := strings.Join(problems(t, "mode: monitr\noutside:\n  listen: [udp:1.2.3.4:5060\nlog: {level: 5}\nstate: &x y\nstat: z\n"), "\n")
	for _, want := range []string{"1:7 mode:", "3:11 : not YAML", "4:14 log.level", "5:8 : anchors", "6:1 stat: unknown key"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestManyProblemsAreCut(t *testing.T) {
	if got := problems(t, strings.Repeat("x: 1\n", 5000)); len(got) != maxProblems {
		t.Errorf("%d problems told, want %d", len(got), maxProblems)
	}
	if got := problems(t, "domains: ["+strings.Repeat("1,", maxTokens)+"]"); len(got) != 1 || !strings.Contains(got[0], "too large") {
		t.Errorf("too many tokens: %q", got)
	}
}

func TestCaretOfLongLine(t *testing.T) {
	line := "domains: [" + strings.Repeat("äé.example.com, ", 40) + "x]"
	_, err := Parse("f", []byte(line))
	for _, shown := range strings.Split(err.Error(), "\n") {
		if n := utf8.RuneCountInString(shown); n > maxShown+20 {
			t.Fatalf("a line of %d characters: %q", n, shown)
		}
	}
	p := Problem{File: "f", Line: 1, Col: 3, Message: "m", Source: "\tx: y"}
	if got, want := p.String(), "f:1:3: m\n    \tx: y\n    \t ^"; got != want {
		t.Errorf("tab: %q, want %q", got, want)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"listen", "advertise"}
	for word, want := range map[string]string{
		"listn":                  "did you mean listen?",
		"lisetn":                 "did you mean listen?",
		"Listen":                 "did you mean listen?",
		"x":                      "one of listen, advertise",
		strings.Repeat("l", 100): "one of listen, advertise",
		"":                       "one of listen, advertise",
	} {
		if got := suggest(word, known); got != want {
			t.Errorf("suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

// TestPeerNetworks: the largest networks that a peer may have, and those that are one bit larger.
func TestPeerNetworks(t *testing.T) {
	for network, good := range map[string]bool{"16.0.0.0/8": true, "16.0.0.0/7": false, "2001::/16": true, "2000::/15": false} {
		if got := problems(t, "peers: [{name: a, uri: 'sip:a', match: ['"+network+"']}]"); (got == nil) != good {
			t.Errorf("%s: %q", network, got)
		}
	}
}
