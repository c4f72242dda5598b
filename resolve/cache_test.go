package resolve

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// lookA looks the one address of a.example up.
func lookA(t *testing.T, r *Resolver) (string, time.Duration, error) {
	t.Helper()
	all, ttl, err := r.Addrs(t.Context(), "a.example")
	var texts []string
	for _, a := range all {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, " "), ttl, err
}

// TestTTL: an answer is asked for again when it has ended, not before; 5 s to 1 h whatever it says.
func TestTTL(t *testing.T) {
	for _, c := range []struct {
		says int
		want time.Duration
	}{{0, MinTTL}, {1, MinTTL}, {20, 20 * time.Second}, {86400, MaxTTL}} {
		t.Run(fmt.Sprint(c.says), func(t *testing.T) {
			zone := func(a string) []string {
				return []string{fmt.Sprintf("a.example. %d IN A %s", c.says, a), fmt.Sprintf("a.example. %d IN AAAA 2001:db8::1", c.says)}
			}
			z := newZone(t, zone("192.0.2.1")...)
			r, clock := newResolver(t, z)
			if got, ttl, err := lookA(t, r); got != "2001:db8::1 192.0.2.1" || ttl != c.want || err != nil {
				t.Fatalf("got %s for %v, %v", got, ttl, err)
			}
			z.set(zone("192.0.2.2")...)
			clock.move(c.want - time.Second)
			if got, ttl, err := lookA(t, r); got != "2001:db8::1 192.0.2.1" || ttl != time.Second || err != nil || z.total() != 2 {
				t.Errorf("before its end: %s for %v, %v, %d questions", got, ttl, err, z.total())
			}
			clock.move(time.Second)
			if got, ttl, err := lookA(t, r); got != "2001:db8::1 192.0.2.2" || ttl != c.want || err != nil {
				t.Errorf("after its end: %s for %v, %v", got, ttl, err)
			}
		})
	}
}

// TestNegative: that there is none is remembered as long as the SOA says (RFC 2308), at most 5 minutes.
func TestNegative(t *testing.T) {
	for _, c := range []struct {
		soa  string
		want time.Duration
	}{
		{"", negativeTTL},
		{"example. 60 IN SOA ns.example. x.example. 1 1 1 1 3600", time.Minute},
		{"example. 3600 IN SOA ns.example. x.example. 1 1 1 1 40", 40 * time.Second},
		{"example. 86400 IN SOA ns.example. x.example. 1 1 1 1 86400", maxNegative},
	} {
		t.Run(c.soa, func(t *testing.T) {
			z := newZone(t)
			z.answers(func(_, answer *dns.Msg) bool {
				if c.soa != "" && len(answer.Answer) == 0 {
					answer.Ns = []dns.RR{mustRR(t, c.soa)}
				}
				return true
			})
			r, clock := newResolver(t, z)
			for range 3 {
				if _, ttl, err := lookA(t, r); err == nil || ttl != c.want {
					t.Fatalf("ttl %v, %v; want %v", ttl, err, c.want)
				}
			}
			if z.total() != 2 {
				t.Errorf("%d questions, want 2", z.total())
			}
			z.set("a.example. 60 IN A 192.0.2.1")
			clock.move(c.want)
			if got, _, err := lookA(t, r); got != "192.0.2.1" || err != nil {
				t.Errorf("when it exists: %s, %v", got, err)
			}
		})
	}
}

func mustRR(t *testing.T, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// TestStale: while the DNS fails the last good answer stays in force, with the reason; it is tried again every 10 s, not at each look-up.
func TestStale(t *testing.T) {
	refuse := func(code int) func(_, _ *dns.Msg) bool {
		return func(_, answer *dns.Msg) bool {
			answer.Answer, answer.Rcode = nil, code
			return true
		}
	}
	for _, c := range []struct {
		name   string
		break_ func(m, answer *dns.Msg) bool
		want   string
	}{
		{"SERVFAIL", refuse(dns.RcodeServerFailure), "says SERVFAIL"},
		{"REFUSED", refuse(dns.RcodeRefused), "says REFUSED"},
		{"silence", func(_, _ *dns.Msg) bool { return false }, "got no answer from the DNS server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			z := newZone(t, "a.example. 20 IN A 192.0.2.1")
			r, clock := newResolver(t, z, func(c *Config) { c.Timeout = 300 * time.Millisecond })
			if got, _, err := lookA(t, r); got != "192.0.2.1" || err != nil {
				t.Fatalf("got %s, %v", got, err)
			}
			z.answers(c.break_)
			for range 3 {
				clock.move(time.Hour)
				got, ttl, err := lookA(t, r)
				if got != "192.0.2.1" || ttl != retryAfter || err == nil || !strings.Contains(err.Error(), "looking up the name a.example") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %s for %v, %v", got, ttl, err)
				}
			}
			n := z.total()
			if _, _, err := lookA(t, r); err == nil || z.total() != n {
				t.Errorf("%d questions more at once, %v", z.total()-n, err)
			}
			z.answers(nil)
			z.set("a.example. 20 IN A 192.0.2.2")
			clock.move(retryAfter)
			if got, _, err := lookA(t, r); got != "192.0.2.2" || err != nil {
				t.Errorf("when it works again: %s, %v", got, err)
			}
		})
	}
}

// TestFailsAtFirst: without an earlier answer a failure is one, and no "not found".
func TestFailsAtFirst(t *testing.T) {
	z := newZone(t)
	z.answers(func(_, answer *dns.Msg) bool { answer.Rcode = dns.RcodeServerFailure; return true })
	r, _ := newResolver(t, z)
	_, ttl, err := r.Lookup(t.Context(), Query{Host: "a.example"})
	var e *Error
	if !errors.As(err, &e) || e.NotFound || ttl != retryAfter {
		t.Errorf("%v for %v", err, ttl)
	}
}

// TestGone: that a name does not exist any more is an answer, which replaces the one before.
func TestGone(t *testing.T) {
	z := newZone(t, "a.example. 20 IN A 192.0.2.1")
	r, clock := newResolver(t, z)
	if _, _, err := lookA(t, r); err != nil {
		t.Fatal(err)
	}
	z.set()
	clock.move(time.Minute)
	got, _, err := lookA(t, r)
	var e *Error
	if got != "" || !errors.As(err, &e) || !e.NotFound {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestFull: the cache is bounded; what was not used for the longest time goes.
func TestFull(t *testing.T) {
	z := newZone(t, "a.example. 3000 IN A 192.0.2.1")
	r, clock := newResolver(t, z, func(c *Config) { c.MaxEntries = 10 })
	for i := range 100 {
		clock.move(time.Millisecond)
		if _, _, err := lookA(t, r); err != nil {
			t.Fatal(err)
		}
		clock.move(time.Millisecond)
		if _, _, err := r.Addrs(t.Context(), fmt.Sprintf("n%d.example", i)); err == nil {
			t.Fatal("a name that is none has an address")
		}
	}
	if len(r.cache) != 10 || z.count("a.example", dns.TypeA) != 1 {
		t.Errorf("%d entries, a.example asked for %d times", len(r.cache), z.count("a.example", dns.TypeA))
	}
}

// TestTogether: many who want the same ask once; who gives up does not spoil it for the others.
func TestTogether(t *testing.T) {
	z := newZone(t, "a.example. 60 IN A 192.0.2.1")
	release, come := make(chan struct{}), make(chan struct{}, 1)
	z.answers(func(_, _ *dns.Msg) bool {
		select {
		case come <- struct{}{}:
		default:
		}
		<-release
		return true
	})
	r, _ := newResolver(t, z, func(c *Config) { c.Timeout = time.Minute })
	hasty, giveUp := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, _, err := r.Addrs(hasty, "a.example")
		left <- err
	}()
	<-come
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got, _, err := lookA(t, r); got != "192.0.2.1" || err != nil {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
	giveUp()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up got %v", err)
	}
	close(release)
	all.Wait()
	if n := z.total(); n > 4 {
		t.Errorf("%d questions for 51 look-ups", n)
	}
}

// TestDeadline: a look-up ends with its context, with a sentence, and what it did not hear is not remembered.
func TestDeadline(t *testing.T) {
	z := newZone(t, "a.example. 60 IN A 192.0.2.1")
	z.answers(func(_, _ *dns.Msg) bool { return false })
	r, _ := newResolver(t, z, func(c *Config) { c.Timeout = time.Minute })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := r.Addrs(ctx, "a.example")
	if err == nil || err.Error() != "looking up the name a.example got no answer in time" {
		t.Errorf("got %v", err)
	}
	z.answers(nil)
	if got, _, err := lookA(t, r); got != "192.0.2.1" || err != nil {
		t.Errorf("then: %s, %v", got, err)
	}
}

// TestFiles: the hosts file comes before the DNS and is read again when it changes; so is resolv.conf.
func TestFiles(t *testing.T) {
	one, two := newZone(t, "a.example. 20 IN A 192.0.2.1", "a.corp.example. 20 IN A 192.0.2.3"), newZone(t, "a.example. 20 IN A 192.0.2.2")
	hosts := filepath.Join(t.TempDir(), "hosts")
	r, clock := newResolver(t, one, func(c *Config) { c.Hosts = hosts })
	expect := func(what, want string) {
		t.Helper()
		clock.move(time.Hour)
		if got, _, err := lookA(t, r); got != want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", what, got, err, want)
		}
	}
	expect("no hosts file", "192.0.2.1")
	write(t, hosts, "# all of it\n\n192.0.2.50 other A.example alias # a.example\n::1\nnonsense a.example\n0.0.0.0 a.example\n2001:db8::50 a.example.\n192.0.2.50 a.example\n")
	expect("hosts file", "192.0.2.50 2001:db8::50")
	if targets, _, err := r.Lookup(t.Context(), Query{Host: "a.example"}); short(targets) != "0/0 udp:192.0.2.50:5060, 0/0 udp:[2001:db8::50]:5060" || err != nil {
		t.Errorf("hosts file, whole look-up: %s, %v", short(targets), err)
	}
	write(t, hosts, "")
	expect("emptied", "192.0.2.1")
	r.cfg.Servers = []string{two.addr}
	expect("another server", "192.0.2.2")
}

// TestResolvConf: servers, bounds and the search list.
func TestResolvConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	r, err := New(Config{ResolvConf: path, Hosts: path + ".none"})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ text, servers, names string }{
		{"", "127.0.0.1:53 [::1]:53", "pbx."},
		{"nameserver 192.0.2.1\nnameserver fe80::1%eth0\nsearch corp.example example\n", "192.0.2.1:53 [fe80::1%eth0]:53", "pbx.corp.example. pbx.example. pbx."},
		{"nameserver not.an.address\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\noptions attempts:99",
			"192.0.2.1:53 192.0.2.2:53 192.0.2.3:53", "pbx."},
		{"nameserver 127.0.0.1:5353\nnameserver [::1]:5353\n", "127.0.0.1:5353 [::1]:5353", "pbx."},
		{"search a b c d e f g h\nnameserver 192.0.2.1 # longest\n", "192.0.2.1:53", "pbx.a. pbx.b. pbx.c. pbx.d. pbx.e. pbx.f. pbx."},
	} {
		write(t, path, c.text+strings.Repeat("\n", i))
		servers, tries := r.servers()
		if got := strings.Join(servers, " "); got != c.servers || tries > maxTries {
			t.Errorf("%q: servers %s, %d tries", c.text, got, tries)
		}
		if got := strings.Join(r.system.names("pbx"), " "); got != c.names {
			t.Errorf("%q: names %s", c.text, got)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, bad := range []Config{{Servers: []string{"dns.example"}}, {Timeout: -1}, {MaxEntries: -1}} {
		if _, err := New(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
