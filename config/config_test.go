package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// plain compares configurations without the places their values stand at.
var plain = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmpopts.IgnoreUnexported(Config{}, Listen{}),
	cmpopts.IgnoreFields(Config{}, "File"),
	cmpopts.IgnoreFields(Listen{}, "Path"),
	cmpopts.IgnoreFields(Upstream{}, "Path"),
	cmpopts.IgnoreFields(Peer{}, "Path"),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatalf("Parse(%q):\n%v", text, err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	want := &Config{
		Outside: Outside{Listen: []Listen{
			{Transport: edge.UDP, Addr: netip.MustParseAddrPort("0.0.0.0:5060")},
			{Transport: edge.UDP, Addr: netip.MustParseAddrPort("[::]:5060")},
			{Transport: edge.TCP, Addr: netip.MustParseAddrPort("0.0.0.0:5060")},
			{Transport: edge.TCP, Addr: netip.MustParseAddrPort("[::]:5060")},
		}},
		Inside:        Inside{Names: true},
		Registrations: Registrations{Keepalive: 25 * time.Second},
		TLS:           TLS{ClientCertificates: Off},
		Topology:      Topology{Hide: true, MaskCallID: true, KeyFile: "/var/lib/ringwall/topology.key", Guard: GuardLog},
		Access: Access{
			Unknown: Methods{List: []sip.Method{sip.REGISTER, sip.INVITE, sip.OPTIONS}},
			Known:   Methods{Any: true},
			Peer:    Methods{Any: true},
			Unify:   CheckOff,
		},
		Trust: Trust{Challenge: CheckEnforce},
		Media: Media{Relay: RelayBuiltIn, Ports: Ports{30000, 39999}, Latch: Latches{LatchStrict, LatchStrict, LatchStrict},
			Silence: Silence{After: time.Minute}, Journal: true, Packets: 5000, Threads: 1},
		Headers: Headers{Source: "X-Source"},
		Checks:  defaultChecks(),
		Bans:    Bans{First: 10 * time.Minute, Longest: 168 * time.Hour},
		AFXDP:   AFXDP{Mode: AFXDPAuto},
		Limits:  Limits{Message: 65536, Headers: 256, Header: 16384, URI: 4096, Vias: 64, Parameters: 64, Calls: 10000, ConnectionsPerSource: 64},
		Timers: Timers{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second, C: 185 * time.Second,
			Linger: 32 * time.Second, Drain: 5 * time.Second},
		State: "/var/lib/ringwall/state.db",
		Admin: Admin{HTTP: netip.MustParseAddrPort("127.0.0.1:7060"), Socket: "/run/ringwall/ringwall.sock"},
		Log:   Log{Format: Text, Level: slog.LevelInfo},
		Mode:  Enforce,
	}
	if diff := cmp.Diff(want, Default(), plain); diff != "" {
		t.Errorf("Default (-want +got):\n%s", diff)
	}
	for _, text := range []string{"", "\n", "# nothing\n", "version: 1\n", "---\nversion: 1\n", "\ufeffversion: 1\r\n"} {
		if diff := cmp.Diff(want, mustParse(t, text), plain); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", text, diff)
		}
	}
}

func TestEveryKey(t *testing.T) {
	got := mustParse(t, `
version: 1
outside:
  listen: [udp:203.0.113.5:5060, "tcp:[2001:db8::1]:5062", tcp:*:5064, tls:203.0.113.5:5061]
  advertise: SBC.example.com
  proxy_protocol: [10.9.0.0/24, 10.9.1.1]
inside:
  listen: ["udp:10.0.0.1:5070", tcp:10.0.0.1:5070]
  sources: [10.0.0.0/24, 10.1.0.7, "2001:db8:1::/48"]
  names: false
upstreams:
  - {uri: "sip:10.0.0.10:5080;transport=tcp", weight: 1, priority: 1}
  - uri: sip:PBX.example.com
peers:
  - {name: carrier-1, uri: "sip:Trunk.example.net", match: [192.0.2.0/28, 198.51.100.7, Trunk.example.net], calls: 100, rate: 10/s, large: tcp}
  - {name: site, uri: "sip:203.0.113.9:5080", transport: tcp, weight: 3, priority: 2, rate: 600/m}
  - {name: office, uri: "sip:office.example.org", transport: tls, client_certificate: require}
domains: [Example.com, 192.0.2.1]
registrations: {path: true, keepalive: 30s}
topology: {hide: true, key_file: keys/topology.key, guard: block, bodies: [Application/ISUP]}
media: {relay: builtin, ports: 20000-20999, address: 203.0.113.5, inside_address: "2001:db8::1", latch: {known: any, peer: prefix24}, rtpengine: [udp:10.0.0.2:2223, "udp:[::1]:2224"], silence: {after: 90s, end: true}, journal: false, packets: 600, threads: 2, coalesce: 1ms}
access: {unknown: any, known: [INVITE, MESSAGE], peer: [], unify: true, not_unified: [Guests.example.com], open_inbound: [lobby.example.com]}
trust: {never_ban: [198.51.100.77, "2001:db8::77"], realm: Example PBX, challenge: monitor}
checks: {flood: {mode: enforce, sampling_time_unit: 2s, reqs_density_per_unit: 20, remove_latency: 4s, strangers: 50/s}, scanner: {mode: monitor}, enumeration: {users: 12}, dialprefix: {calls: 9}, bruteforce: {slowly: 30}, spray: {group: 20, of_group: 4, learning: 14d}, lockout: {mode: off}, mode: monitor}
bans: {first: 5m, longest: 1d12h}
headers: {source: X-Real-Source, from_outside: {remove: [X-Internal, y], allow: [p-asserted-identity, k]}}
af_xdp: {interfaces: [eth0, wan], mode: generic}
limits: {memory: 1GiB, message: 16KiB, headers: 100, header: 4KiB, uri: 512B, vias: 20, parameters: 16, calls: 5, connections: 100, connections_per_source: 7}
timers: {t1: 100ms, t2: 1s, t4: 2s, c: 4m, drain: 0s}
state: /srv/state.db
admin: {http: "[::1]:0", socket: /srv/s.sock}
log: {format: json, level: warn}
mode: monitor
tls: [{certificate: a.pem, key: a.key}, {certificate: b.pem, key: "env:B_KEY", client_certificates: require, client_ca: ca.pem}]
`)
	want := &Config{
		Outside: Outside{Advertise: "sbc.example.com", Listen: []Listen{
			{Transport: edge.UDP, Addr: netip.MustParseAddrPort("203.0.113.5:5060")},
			{Transport: edge.TCP, Addr: netip.MustParseAddrPort("[2001:db8::1]:5062")},
			{Transport: edge.TCP, Addr: netip.MustParseAddrPort("0.0.0.0:5064")},
			{Transport: edge.TCP, Addr: netip.MustParseAddrPort("[::]:5064")},
			{Transport: edge.TLS, Addr: netip.MustParseAddrPort("203.0.113.5:5061")},
		}, ProxyProtocol: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("10.9.1.1/32")}},
		Inside: Inside{
			Listen: []Listen{
				{Transport: edge.UDP, Addr: netip.MustParseAddrPort("10.0.0.1:5070")},
				{Transport: edge.TCP, Addr: netip.MustParseAddrPort("10.0.0.1:5070")},
			},
			Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("10.1.0.7/32"), netip.MustParsePrefix("2001:db8:1::/48")},
		},
		Upstreams: []Upstream{
			{URI: "sip:10.0.0.10:5080;transport=tcp", Host: "10.0.0.10", Port: 5080, Transport: edge.TCP, Named: true, Weight: 1, Priority: 1},
			{URI: "sip:PBX.example.com", Host: "pbx.example.com", Weight: 1, Priority: 1},
		},
		Peers: []Peer{
			{Name: "carrier-1", URI: Upstream{URI: "sip:Trunk.example.net", Host: "trunk.example.net", Weight: 1, Priority: 1},
				Match: []Match{{Prefix: netip.MustParsePrefix("192.0.2.0/28")}, {Prefix: netip.MustParsePrefix("198.51.100.7/32")},
					{Host: "trunk.example.net"}},
				Calls: 100, Rate: Rate{10, time.Second}, Large: true},
			{Name: "site", URI: Upstream{URI: "sip:203.0.113.9:5080", Host: "203.0.113.9", Port: 5080, Transport: edge.TCP, Weight: 3,
				Priority: 2}, Rate: Rate{600, time.Minute}},
			{Name: "office", URI: Upstream{URI: "sip:office.example.org", Host: "office.example.org", Transport: edge.TLS, Weight: 1, Priority: 1}, Shows: true},
		},
		Domains:       []string{"example.com", "192.0.2.1"},
		Registrations: Registrations{Path: true, Keepalive: 30 * time.Second},
		TLS: TLS{Certificates: []KeyPair{{Reference{File: "a.pem"}, Reference{File: "a.key"}}, {Reference{File: "b.pem"}, Reference{Env: "B_KEY"}}},
			ClientCertificates: Require, ClientCA: Reference{File: "ca.pem"}},
		Topology: Topology{Hide: true, MaskCallID: true, KeyFile: "keys/topology.key", Guard: GuardBlock, Bodies: []string{"application/isup"}},
		Access: Access{Unknown: Methods{Any: true}, Known: Methods{List: []sip.Method{sip.INVITE, sip.MESSAGE}},
			Unify: CheckEnforce, NotUnified: []string{"guests.example.com"}, OpenInbound: []string{"lobby.example.com"}},
		Media: Media{Relay: RelayBuiltIn, Ports: Ports{20000, 20999}, Address: netip.MustParseAddr("203.0.113.5"), InsideAddress: netip.MustParseAddr("2001:db8::1"),
			RTPEngine: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:2223"), netip.MustParseAddrPort("[::1]:2224")},
			Latch:     Latches{LatchStrict, LatchAny, LatchPrefix24}, Silence: Silence{After: 90 * time.Second, End: true}, Packets: 600, Threads: 2, Coalesce: time.Millisecond},
		Headers: Headers{Source: "X-Real-Source", Remove: []string{"X-Internal", "y"}, Allow: []string{"p-asserted-identity", "k"}},
		AFXDP:   AFXDP{Interfaces: []string{"eth0", "wan"}, Mode: AFXDPGeneric},
		Limits:  Limits{Memory: 1 << 30, Message: 16 << 10, Headers: 100, Header: 4 << 10, URI: 512, Vias: 20, Parameters: 16, Calls: 5, Connections: 100, ConnectionsPerSource: 7},
		Timers: Timers{T1: 100 * time.Millisecond, T2: time.Second, T4: 2 * time.Second, C: 4 * time.Minute,
			Linger: 6400 * time.Millisecond},
		State:  "/srv/state.db",
		Admin:  Admin{HTTP: netip.MustParseAddrPort("[::1]:0"), Socket: "/srv/s.sock"},
		Checks: fullChecks(),
		Trust:  Trust{NeverBan: []netip.Prefix{netip.MustParsePrefix("198.51.100.77/32"), netip.MustParsePrefix("2001:db8::/64")}, Realm: "Example PBX", Challenge: CheckMonitor},
		Bans:   Bans{First: 5 * time.Minute, Longest: 36 * time.Hour},
		Log:    Log{Format: JSON, Level: slog.LevelWarn},
		Mode:   Monitor,
	}
	if diff := cmp.Diff(want, got, plain); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// fullChecks are the checks of full.
func fullChecks() Checks {
	c := defaultChecks()
	c.Mode, c.Modes = CheckMonitor, map[string]CheckMode{"flood": CheckEnforce, "scanner": CheckMonitor, "lockout": CheckOff}
	c.Flood.Unit, c.Flood.Density, c.Flood.Latency = 2*time.Second, 20, 4*time.Second
	c.Flood.Strangers = Rate{50, time.Second}
	c.Enumeration.Users, c.Dialprefix.Calls = 12, 9
	c.Bruteforce.Slowly = 30
	c.Spray.Group, c.Spray.OfGroup, c.Spray.Learning = 20, 4, 14*24*time.Hour
	return c
}

// TestModesOfChecks: one word for all checks, and one for each that is to differ, in any order.
func TestModesOfChecks(t *testing.T) {
	for text, want := range map[string][2]CheckMode{ // of scanner and of flood
		"":                                 {CheckMonitor, CheckMonitor},
		"checks: {flood: {mode: enforce}}": {CheckMonitor, CheckEnforce},
		"checks: {flood: {rate: 20/s}}":    {CheckMonitor, CheckMonitor},
		"checks: {mode: monitor}":          {CheckMonitor, CheckMonitor},
		"checks: {scanner: {mode: enforce}, mode: monitor}": {CheckEnforce, CheckMonitor},
		"checks: {mode: enforce, flood: {mode: off}}":       {CheckEnforce, CheckOff},
		"checks: {mode: enforce, flood: {rate: 20/s}}":      {CheckEnforce, CheckEnforce},
		"checks: {mode: off, scanner: {mode: off}}":         {CheckOff, CheckOff},
	} {
		c := mustParse(t, text).Checks
		if got := [2]CheckMode{c.Of("scanner"), c.Of("flood")}; got != want {
			t.Errorf("%q: scanner and flood %v, want %v", text, got, want)
		}
		if said := strings.Contains(text, "mode"); c.Said() != said {
			t.Errorf("%q: said %t", text, !said)
		}
		if c.None() != (want == [2]CheckMode{CheckOff, CheckOff}) {
			t.Errorf("%q: none %t", text, c.None())
		}
	}
}

// TestGuardFollowsHide: unless a file says so itself, the guard looks at what leaves where the platform is hidden, and only there.
func TestGuardFollowsHide(t *testing.T) {
	for text, want := range map[string]Guard{"": GuardLog, "topology: {hide: true}": GuardLog, "topology: {hide: false}": GuardOff, "topology: {guard: off}": GuardOff,
		"topology: {hide: false, guard: log}": GuardLog} {
		if got := mustParse(t, text).Topology.Guard; got != want {
			t.Errorf("%q: guard %s, want %s", text, got, want)
		}
	}
}

// TestOffValues holds that the off value of every room that is not built, and the default of others, is accepted when it is written out.
func TestOffValues(t *testing.T) {
	got := mustParse(t, `
topology: {guard: log}
tls: {}
identity: {server: none}
media: {relay: builtin, ports: 30000-39999, latch: strict}
trust: {never_ban: []}
access: {unify: false, open_inbound: []}
headers: {from_outside: {remove: [], allow: []}, to_outside: {allow: []}}
checks: {flood: {mode: off, rate: 10/s, burst: 60}, lockout: {mode: "off", failures: 3, within: 15m, ban: 30m}}
bans: {first: 10m, longest: 7d}
gate: {driver: soft}
decoy: {enabled: false}
`)
	if got.Checks.Of("flood") != CheckOff || got.Checks.Of("lockout") != CheckOff {
		t.Errorf("checks that are off: %+v", got.Checks)
	}
	got.Checks.Modes = nil
	if diff := cmp.Diff(Default(), got, plain); diff != "" {
		t.Errorf("off values are not the defaults (-default +got):\n%s", diff)
	}
}

// TestFlowStyle holds that a colon that no blank follows is part of a plain text in flow style, too (YAML 1.2.2 §7.3.3).
func TestFlowStyle(t *testing.T) {
	for _, text := range []string{
		"inside: {listen: [udp:10.0.0.1:5070, tcp:10.0.0.1:5071], sources: [2001:db8::/48, ::1]}",
		"inside: {listen: [ udp:10.0.0.1:5070 ,\n   tcp:10.0.0.1:5071 ], sources: [ 2001:db8::/48, ::1 ]} # end",
		"inside: {\"listen\":[\"udp:10.0.0.1:5070\",'tcp:10.0.0.1:5071'], \"sources\":[2001:db8::/48,::1]}",
		"{inside: {sources: [2001:db8::/48,::1], listen: [udp:10.0.0.1:5070,tcp:10.0.0.1:5071]}}",
		"inside:\n  listen: [udp:10.0.0.1:5070, tcp:10.0.0.1:5071]\n  sources:\n  - 2001:db8::/48\n  - ::1\n",
	} {
		c := mustParse(t, text)
		if got := fmt.Sprint(c.Inside); got != "{[udp:10.0.0.1:5070 tcp:10.0.0.1:5071] [2001:db8::/48 ::1/128] true}" {
			t.Errorf("%q: %s", text, got)
		}
	}
	c := mustParse(t, "{outside: {listen: [udp:*:5062]}, upstreams: [{uri: sip:10.0.0.1:5080;transport=tcp}], admin: {http: off}}")
	if len(c.Outside.Listen) != 2 || c.Upstreams[0].Port != 5080 || c.Admin.HTTP.IsValid() {
		t.Errorf("%+v", c)
	}
}

func TestWhereAndFault(t *testing.T) {
	c := mustParse(t, "outside:\n  listen:\n    - udp:*:5060\n    - tcp:127.0.0.1:5060\nupstreams:\n  - uri: sip:10.0.0.1\n")
	for path, want := range map[string]string{
		"outside":             "test.yaml:1",
		"outside.listen[1]":   "test.yaml:4",
		"outside.advertise":   "test.yaml:1",
		c.Upstreams[0].Path:   "test.yaml:6",
		"upstreams[0].weight": "test.yaml:6",
		"timers.t1":           "default",
	} {
		if got := c.Where(path); got != want {
			t.Errorf("Where(%q) = %q, want %q", path, got, want)
		}
	}
	last := c.Outside.Listen[len(c.Outside.Listen)-1]
	got := c.Fault(last.Path, "port in use", "stop the other").Error()
	want := "test.yaml:4:7: outside.listen[1]: port in use\n        - tcp:127.0.0.1:5060\n          ^\n    hint: stop the other"
	if got != want {
		t.Errorf("Fault:\n%s\nwant\n%s", got, want)
	}
	if err := c.Override(Overrides{Upstreams: []string{"sip:127.0.0.1:5080"}}); err != nil {
		t.Fatal(err)
	}
	if got := c.Fault(c.Upstreams[0].Path, "no answer", "").Error(); got != "--upstream: no answer" {
		t.Errorf("Fault of a flag: %q", got)
	}
}

func TestOverride(t *testing.T) {
	c := Default()
	err := c.Override(Overrides{
		Outside:   []string{"udp:127.0.0.1:5060"},
		Inside:    []string{"udp:127.0.0.1:5070"},
		Upstreams: []string{"sip:127.0.0.1:5080"},
		State:     "demo",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Outside.Listen) != 1 || c.Outside.Listen[0].String() != "udp:127.0.0.1:5060" {
		t.Errorf("outside %v", c.Outside.Listen)
	}
	if len(c.Inside.Listen) != 1 || len(c.Upstreams) != 1 || c.Upstreams[0].Port != 5080 {
		t.Errorf("inside %v, upstreams %v", c.Inside.Listen, c.Upstreams)
	}
	if c.State != "demo/state.db" || c.Topology.KeyFile != "demo/topology.key" || c.Admin.Socket != "demo/ringwall.sock" {
		t.Errorf("state %q, key file %q, socket %q", c.State, c.Topology.KeyFile, c.Admin.Socket)
	}
	if got := c.Where("admin.socket"); got != "--state" {
		t.Errorf("Where = %q", got)
	}
}

func TestOverrideTellsEveryFlag(t *testing.T) {
	c := Default()
	err := c.Override(Overrides{
		Outside:   []string{"udp:localhost:5060", "tls:127.0.0.1:5061"},
		Inside:    []string{"udp:127.0.0.1"},
		Upstreams: []string{"sips:pbx"},
		State:     strings.Repeat("x", 120),
	})
	var all Errors
	if !errors.As(err, &all) || len(all) != 5 {
		t.Fatalf("want 5 problems, got:\n%v", err)
	}
	if diff := cmp.Diff(Default(), c, plain); diff != "" {
		t.Errorf("a failed Override changed the configuration:\n%s", diff)
	}
	err = Default().Override(Overrides{Outside: []string{"udp:*:5070"}, Inside: []string{"udp:127.0.0.1:5070"}})
	if err == nil || !strings.HasPrefix(err.Error(), "--inside: udp:127.0.0.1:5070 is taken by outside.listen[0] (--outside)") {
		t.Errorf("overlap of flags: %v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ringwall.yaml")
	if err := os.WriteFile(file, []byte("mode: monitor\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil || c.Mode != Monitor || c.File != file {
		t.Errorf("Load: %+v, %v", c, err)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a folder was loaded")
	}
	if err := os.WriteFile(file, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "larger than 1024 KiB") {
		t.Errorf("large file: %v", err)
	}
}

func TestMethodsAllows(t *testing.T) {
	some := Methods{List: []sip.Method{sip.INVITE}}
	if !some.Allows(sip.INVITE) || some.Allows(sip.BYE) || some.Allows(sip.MethodOther) {
		t.Error("a list allows what it names and nothing else")
	}
	if !(Methods{Any: true}).Allows(sip.MethodOther) {
		t.Error("any allows extension methods")
	}
	if (Methods{}).Allows(sip.INVITE) {
		t.Error("an empty list allows nothing")
	}
}

// TestWarnings: what reveals the platform, or keeps media away, is told.
func TestWarnings(t *testing.T) {
	const nat = "outside: {listen: [udp:10.0.0.5:5060], advertise: "
	for text, want := range map[string]string{
		"":                                "",
		"media: {relay: off}":             "topology.hide: media still reveals",
		"topology: {mask_call_id: false}": "topology.mask_call_id: ",
		"topology: {hide: false}":         "",
		"media: {rtpengine: ['udp:127.0.0.1:2223']}":                           "media.rtpengine: nobody asks these servers, since media.relay is builtin",
		"media: {relay: rtpengine, rtpengine: ['udp:127.0.0.1:2223']}":         "",
		nat + "sbc.example.com}":                                               "media.address: phones on the internet are told to send media to 10.0.0.5",
		nat + "203.0.113.5}":                                                   "",
		nat + "sbc.example.com}\nmedia: {address: 203.0.113.5}":                "",
		nat + "sbc.example.com}\nmedia: {relay: off}\ntopology: {hide: false}": "",
	} {
		got := mustParse(t, text).Warnings()
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], want)) {
			t.Errorf("%q: warnings %q, want %q", text, got, want)
		}
	}
}
