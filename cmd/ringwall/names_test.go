package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/resolve"
)

// A directory answers look-ups as a test says: hosts by "rank/weight transport:address:port" each.
type directory struct {
	mu   sync.Mutex
	says map[string][]resolve.Target
	err  error
}

func (d *directory) set(host string, targets ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.says == nil {
		d.says = map[string][]resolve.Target{}
	}
	d.says[host] = nil
	for _, text := range targets {
		d.says[host] = append(d.says[host], targetOf(text))
	}
}

// targetOf reads "0/10 udp:127.0.0.1:5060 host"; the host may be left out.
func targetOf(text string) (t resolve.Target) {
	words := strings.Fields(text)
	rank, weight, _ := strings.Cut(words[0], "/")
	t.Priority, _ = strconv.Atoi(rank)
	t.Weight, _ = strconv.Atoi(weight)
	transport, addr, _ := strings.Cut(words[1], ":")
	t.Transport = map[string]edge.Transport{"udp": edge.UDP, "tcp": edge.TCP, "tls": edge.TLS}[transport]
	t.Addr, t.Host = netip.MustParseAddrPort(addr), addr
	if len(words) > 2 {
		t.Host = words[2]
	}
	return t
}

func (d *directory) lookup(_ context.Context, q resolve.Query) ([]resolve.Target, time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := netip.ParseAddr(q.Host); err == nil {
		return []resolve.Target{targetOf("0/0 " + q.Transport.String() + ":" + q.Host + ":5060")}, time.Hour, nil
	}
	if len(d.says[q.Host]) == 0 && d.err == nil {
		return nil, time.Millisecond, errors.New("the name " + q.Host + " has no address")
	}
	return d.says[q.Host], time.Millisecond, d.err
}

func (d *directory) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// show is upstreams in a few characters.
func show(all []proxy.Upstream) string {
	var texts []string
	for _, u := range all {
		texts = append(texts, strconv.Itoa(u.Priority)+"/"+strconv.Itoa(u.Weight)+" "+u.Transport.String()+":"+u.Addr.String())
	}
	return strings.Join(texts, ", ")
}

// TestEntries: what the entry says comes first, what its SRV records say comes second.
func TestEntries(t *testing.T) {
	for _, c := range []struct{ name, entries, inside, a, b, want string }{
		{"an address", `{uri: "sip:127.0.0.9:5060", weight: 3, priority: 2}`, "", "", "", "128/30000 udp:127.0.0.9:5060"},
		{"SRV ranks and weights", `{uri: "sip:a.example", weight: 2}`, "", "0/30 udp:127.0.0.1:1, 0/10 udp:127.0.0.2:2, 1/0 tcp:127.0.0.3:3", "",
			"64/15000 udp:127.0.0.1:1, 64/5000 udp:127.0.0.2:2, 65/20000 tcp:127.0.0.3:3"},
		{"no weights: equal shares", `{uri: "sip:a.example"}`, "", "0/0 udp:127.0.0.1:1, 0/0 udp:127.0.0.2:2", "", "64/5000 udp:127.0.0.1:1, 64/5000 udp:127.0.0.2:2"},
		{"weight 0 among others: nearly none", `{uri: "sip:a.example"}`, "", "0/0 udp:127.0.0.1:1, 0/5 udp:127.0.0.2:2", "", "64/1 udp:127.0.0.1:1, 64/10000 udp:127.0.0.2:2"},
		{"addresses of one host share its weight", `{uri: "sip:a.example"}`, "", "0/10 udp:127.0.0.1:1 x, 0/10 udp:127.0.0.2:1 x, 0/10 udp:127.0.0.3:1 y", "",
			"64/2500 udp:127.0.0.1:1, 64/2500 udp:127.0.0.2:1, 64/5000 udp:127.0.0.3:1"},
		{"two entries, one above the other", `{uri: "sip:a.example", priority: 2}, {uri: "sip:b.example", weight: 4}`, "", "0/1 udp:127.0.0.1:1", "0/1 udp:127.0.0.2:1, 7/1 udp:127.0.0.3:1",
			"128/10000 udp:127.0.0.1:1, 64/40000 udp:127.0.0.2:1, 71/40000 udp:127.0.0.3:1"},
		{"a server that two entries name is one", `{uri: "sip:a.example"}, {uri: "sip:b.example"}`, "", "0/1 udp:127.0.0.1:1", "0/1 udp:127.0.0.1:1, 0/1 tcp:127.0.0.1:1",
			"64/10000 udp:127.0.0.1:1, 64/5000 tcp:127.0.0.1:1"},
		{"one family of a host is used", `{uri: "sip:a.example"}`, "", "0/1 udp:[::1]:1 x, 0/1 udp:127.0.0.1:1 x, 0/1 udp:127.0.0.2:2 y", "",
			"64/5000 udp:127.0.0.1:1, 64/5000 udp:127.0.0.2:2"},
		{"what no listener can reach is passed over", `{uri: "sip:a.example"}`, "udp:127.0.0.1:5070", "0/1 udp:[::1]:1 x, 1/1 tcp:127.0.0.1:1 y, 2/1 udp:127.0.0.2:2 z, 3/1 tls:127.0.0.2:2 z", "",
			"66/10000 udp:127.0.0.2:2"},
		{"ringwall itself is passed over", `{uri: "sip:a.example"}`, "udp:127.0.0.1:5070", "0/1 udp:127.0.0.1:5070, 0/1 udp:127.0.0.1:5071", "", "64/10000 udp:127.0.0.1:5071"},
		{"not one machine", `{uri: "sip:a.example"}`, "", "0/1 udp:224.0.0.1:5070, 0/1 udp:127.0.0.1:5071", "", "64/10000 udp:127.0.0.1:5071"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "upstreams: [" + c.entries + "]\n"
			if c.inside != "" {
				text += `inside: {listen: ["` + c.inside + `"]}` + "\n"
			}
			cfg, err := config.Parse("test.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			var d directory
			d.set("a.example", split(c.a)...)
			d.set("b.example", split(c.b)...)
			all, err := upstreams(t.Context(), cfg, d.lookup)
			if err != nil || show(all) != c.want {
				t.Errorf("got  %s, %v\nwant %s", show(all), err, c.want)
			}
		})
	}
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ", ")
}

// many are n servers on ports from first on.
func many(n, first int) (all []string) {
	for i := range n {
		all = append(all, "0/1 udp:127.0.0.1:"+strconv.Itoa(first+i))
	}
	return all
}

// TestTooManyServers: there are at most 32; one more is a clear error.
func TestTooManyServers(t *testing.T) {
	cfg := configOf(t, `upstreams: [{uri: "sip:a.example"}, {uri: "sip:b.example"}]`)
	var d directory
	d.set("a.example", many(30, 1000)...)
	d.set("b.example", many(2, 2000)...)
	if all, err := upstreams(t.Context(), cfg, d.lookup); err != nil || len(all) != mostServers {
		t.Errorf("%d servers, %v", len(all), err)
	}
	d.set("b.example", many(3, 2000)...)
	_, err := upstreams(t.Context(), cfg, d.lookup)
	if err == nil || exitCode(err) != exitUnavailable ||
		!strings.Contains(err.Error(), "the upstreams are 33 servers (sip:a.example 30, sip:b.example 3), there can be 32") {
		t.Errorf("got %v", err)
	}
}

// follower starts a service that follows a.example by what d says.
func follower(t *testing.T, d *directory, more ...string) *service {
	t.Helper()
	boot := quiet(configOf(t, "upstreams: [{uri: \"sip:a.example\"}]\n"+strings.Join(more, "\n")))
	boot.lookup = d.lookup
	s, err := start(t.Context(), boot, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.goUntilClose(s.followNames)
	return s
}

// concern is the text of what needs attention about names.
func (s *service) concern() string {
	for _, c := range s.facts(s.proxy.Status(), s.settings.Load()).concerns() {
		if c.ID == string(reasonName) {
			return c.Text
		}
	}
	return ""
}

// soon waits until cond holds.
func soon(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within ten seconds", what)
		}
	}
}

// TestNamesAreFollowed: other answers are put in force, and the servers that were left retire; a failed look-up changes nothing but what
// status says, and the log tells it once; another order of the same answer changes nothing at all.
func TestNamesAreFollowed(t *testing.T) {
	var d directory
	d.set("a.example", "0/1 udp:127.0.0.1:5081", "0/1 udp:127.0.0.1:5082")
	s := follower(t, &d)
	now := func() string { return show(s.settings.Load().upstreams) }
	before := s.settings.Load()
	if now() != "64/5000 udp:127.0.0.1:5081, 64/5000 udp:127.0.0.1:5082" {
		t.Fatal(now())
	}
	d.set("a.example", "0/1 udp:127.0.0.1:5082", "0/1 udp:127.0.0.1:5081")
	d.fail(errors.New("the DNS is dead"))
	soon(t, "status", func() bool { return s.concern() == "sip:a.example: the last addresses stay in force: the DNS is dead" })
	d.set("a.example")
	soon(t, "status", func() bool { return strings.Contains(s.concern(), "dead") })
	d.fail(nil)
	soon(t, "status", func() bool { return strings.Contains(s.concern(), "the name a.example has no address") })
	if s.settings.Load() != before {
		t.Errorf("a failure changed the upstreams: %s", now())
	}
	d.set("a.example", "0/1 udp:127.0.0.1:5083")
	soon(t, "a move", func() bool { return now() == "64/10000 udp:127.0.0.1:5083" && s.concern() == "" })
	if r := s.settings.Load().retired; len(r) != 2 || r[0].Addr.Port() != 5081 || r[1].Addr.Port() != 5082 {
		t.Errorf("retired: %v", r)
	}
	d.set("a.example", "0/1 udp:127.0.0.1:5082")
	soon(t, "a move back", func() bool { return now() == "64/10000 udp:127.0.0.1:5082" })
	if r := s.settings.Load().retired; len(r) != 2 || r[0].Addr.Port() != 5083 || r[1].Addr.Port() != 5081 {
		t.Errorf("retired: %v", r)
	}
	s.forget(time.Now().Add(retiredFor + time.Minute))
	if r := s.settings.Load().retired; len(r) != 0 {
		t.Errorf("retired for ever: %v", r)
	}
	d.set("a.example", many(33, 6000)...)
	soon(t, "too many", func() bool { return strings.Contains(s.concern(), "33 servers") })
	if now() != "64/10000 udp:127.0.0.1:5082" {
		t.Errorf("33 servers: %s", now())
	}
}

// TestForgetProblems: a name that the operator took out of the file needs no attention any more.
func TestForgetProblems(t *testing.T) {
	s := &service{}
	cfg := configOf(t, `upstreams: [{uri: "sip:b.example"}]`)
	s.forgetProblems(cfg)
	s.nameProblems.Store(&[]nameProblem{{"sip:a.example", "gone"}, {"sip:b.example", "dead"}, {"upstreams", "too many"}})
	s.forgetProblems(cfg)
	if left := *s.nameProblems.Load(); len(left) != 1 || left[0].of != "sip:b.example" {
		t.Errorf("left: %v", left)
	}
}

// TestRetireBounds: those who left last stay; what the operator took out of the file may end what it has, and begin nothing.
func TestRetireBounds(t *testing.T) {
	at := time.Unix(1000, 0)
	one := func(port uint16) proxy.Upstream {
		return proxy.Upstream{URI: "sip:a.example", Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
	}
	cfg, err := config.Parse("test.yaml", []byte(`upstreams: [{uri: "sip:a.example"}]`))
	if err != nil {
		t.Fatal(err)
	}
	now := &settings{cfg: cfg, upstreams: []proxy.Upstream{one(1)}}
	for port := uint16(2); port < 200; port++ {
		next := []proxy.Upstream{one(port)}
		now = &settings{cfg: cfg, upstreams: next, retired: retire(now, cfg, next, at)}
	}
	if len(now.retired) != mostRetired || now.retired[0].Addr.Port() != 198 {
		t.Errorf("%d retirees, first %v", len(now.retired), now.retired[0])
	}
	if now.retired[0].removed || !now.inside(one(198).Addr.Addr()) {
		t.Error("a server of a name that is there is taken for removed")
	}
	to, err := config.Parse("test.yaml", []byte(`upstreams: [{uri: "sip:b.example"}]`))
	if err != nil {
		t.Fatal(err)
	}
	next := []proxy.Upstream{{URI: "sip:b.example", Addr: netip.MustParseAddrPort("127.0.0.2:9")}}
	now = &settings{cfg: to, upstreams: next, retired: retire(now, to, next, at)}
	if left := now.retired; len(left) != mostRetired || !left[0].removed || left[0].entry.URI != "sip:a.example" {
		t.Errorf("%d retirees of a name that is gone, the first %+v", len(left), left[0])
	}
	if p := now.proxyConfig(); !slices.Contains(p.Former, one(1).Addr.Addr()) || len(p.Sources) != mostRetired || now.inside(one(1).Addr.Addr()) {
		t.Errorf("who was removed by the operator still belongs to the platform: sources %v, former %v", p.Sources, p.Former)
	}
}

// TestServersIdentities: over TLS a server must show the certificate of the URI's domain, whatever host the DNS names, also while it retires.
func TestServersIdentities(t *testing.T) {
	cfg, err := config.Parse("test.yaml", []byte(`upstreams: [{uri: "sip:a.example"}, {uri: "sip:b.example;transport=tls"}]
inside: {listen: ["udp:127.0.0.1:5070", "tls:127.0.0.1:5070"]}
tls: {certificate: c.pem, key: k.pem}
`))
	if err != nil {
		t.Fatal(err)
	}
	var d directory
	d.set("a.example", "0/1 tls:127.0.0.2:1 x.example", "1/1 udp:127.0.0.2:2 y.example")
	d.set("b.example", "0/1 tls:127.0.0.3:1 z.example")
	now := &settings{cfg: cfg, retired: []retiree{{Upstream: proxy.Upstream{URI: "sip:a.example", Transport: edge.TLS, Addr: netip.MustParseAddrPort("127.0.0.4:1")}}}}
	if now.upstreams, err = upstreams(t.Context(), cfg, d.lookup); err != nil {
		t.Fatal(err)
	}
	got, err := identities(cfg, now.platform())
	names := map[string]string{}
	for to, id := range got {
		names[to.Addr.String()] = id.ServerName
	}
	if want := map[string]string{"127.0.0.2:1": "a.example", "127.0.0.3:1": "b.example", "127.0.0.4:1": "a.example"}; err != nil || !maps.Equal(names, want) {
		t.Errorf("got %v, %v", names, err)
	}
	d.set("b.example", "0/1 tls:127.0.0.2:1 x.example")
	if now.upstreams, err = upstreams(t.Context(), cfg, d.lookup); err != nil {
		t.Fatal(err)
	}
	if _, err := identities(cfg, now.upstreams); err == nil {
		t.Error("one server for two domains is accepted")
	}
}

// TestPeersFollow: peers follow their names as upstreams do: by SRV of their own transport, and by the addresses of match.
func TestPeersFollow(t *testing.T) {
	var d directory
	d.set("a.example", "0/1 udp:127.0.0.1:5081")
	d.set("trunk.example", "0/3 udp:192.0.2.1:5060", "0/1 udp:192.0.2.2:5062", "1/1 udp:192.0.2.3:5060")
	d.set("from.example", "0/0 udp:198.51.100.1:0")
	d.set("late.example")
	s := follower(t, &d, `peers: [{name: one, uri: "sip:trunk.example"}, {name: two, uri: "sip:192.0.2.9", match: [from.example]}, {name: three, uri: "sip:late.example"}]`)
	now := func(i int) string {
		p := s.settings.Load().trunks[i]
		return show(p.Targets) + " from " + fmt.Sprint(p.Match)
	}
	about := func(name string) (text string) {
		for _, c := range s.facts(s.proxy.Status(), s.settings.Load()).concerns() {
			if c.ID == string(reasonPeerName) && strings.HasPrefix(c.Text, "peer "+name) {
				text = c.Text
			}
		}
		return text
	}
	for i, want := range []string{
		"0/7500 udp:192.0.2.1:5060, 0/2500 udp:192.0.2.2:5062, 1/10000 udp:192.0.2.3:5060 from [192.0.2.1/32 192.0.2.2/32 192.0.2.3/32]",
		"0/10000 udp:192.0.2.9:5060 from [198.51.100.1/32]", " from []"} {
		if got := now(i); got != want {
			t.Errorf("peer %d is at %s, want %s", i, got, want)
		}
	}
	if about("three") != "peer three: the name late.example has no address" {
		t.Errorf("status: %q", about("three"))
	}
	d.set("late.example", "0/1 udp:192.0.2.7:5060")
	d.set("from.example", "0/0 udp:198.51.100.2:0", "0/0 udp:127.0.0.1:0") // the platform's own address is none of a peer
	soon(t, "both move", func() bool {
		return now(2) == "0/10000 udp:192.0.2.7:5060 from [192.0.2.7/32]" && about("three") == "" &&
			now(1) == "0/10000 udp:192.0.2.9:5060 from [198.51.100.2/32]"
	})
	d.set("from.example")
	soon(t, "status", func() bool { return about("two") == "peer two: the name from.example has no address" })
	if got := now(1); got != "0/10000 udp:192.0.2.9:5060 from [198.51.100.2/32]" {
		t.Errorf("after a failure peer two is at %s", got)
	}
	next := configOf(t, "upstreams: [{uri: \"sip:a.example\"}]\npeers: [{name: two, uri: \"sip:192.0.2.9\", match: [203.0.113.64/28, from.example]}]")
	to := s.trunks(t.Context(), &settings{cfg: next, trunks: s.settings.Load().trunks}, d.lookup)[0]
	if got := show(to.Targets) + " from " + fmt.Sprint(to.Match); got != "0/10000 udp:192.0.2.9:5060 from [203.0.113.64/28 198.51.100.2/32]" {
		t.Errorf("a reload while a name leads nowhere makes of peer two %s: only what the name stood for is to be kept", got)
	}
	two := configOf(t, "upstreams: [{uri: \"sip:a.example\"}]\npeers: [{name: five, uri: \"sip:never.example\", match: [nowhere.example, never.example]}]")
	lost := s.trunks(t.Context(), &settings{cfg: two}, d.lookup)
	var told []string
	for _, c := range peerConcerns(nil, lost) {
		told = append(told, c.Text)
	}
	if want := []string{"peer five: the name never.example has no address", "peer five: the name nowhere.example has no address"}; !slices.Equal(told, want) {
		t.Errorf("of two names that lead nowhere status says %q", told)
	}
	was := configOf(t, "upstreams: [{uri: \"sip:192.0.2.77\"}]\npeers: [{name: four, uri: \"sip:127.0.0.1\"}]") // it is the platform's address until that is in force
	if to := s.trunks(t.Context(), &settings{cfg: was}, d.lookup)[0]; len(to.Targets) != 1 || len(to.problems) > 0 {
		t.Errorf("an upstream that becomes a peer: %+v", to)
	}
}
