package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/transaction"
	"github.com/ringwall/ringwall/transport"
)

// TestConcerns makes one thing worth attention at a time.
func TestConcerns(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	cert := func(left time.Duration, problem string) []transport.CertificateInfo {
		return []transport.CertificateInfo{{File: "/c.pem", Names: []string{"a.example"}, NotAfter: now.Add(left), Problem: problem}}
	}
	for _, c := range []struct {
		change func(*facts)
		id     string // "" for none
		text   string
	}{
		{func(*facts) {}, "", ""},
		{func(f *facts) { f.proxy.Tag = "10.0.0.10" }, "topology.tag", "show 10.0.0.10 to everybody"},
		{func(f *facts) { f.proxy.Realm = "10.0.0.10" }, "topology.realm", "show 10.0.0.10 to everybody"},
		{func(f *facts) { f.proxy.Upstream = "down since 2026-05-01T11:00:00Z: refused" }, "upstream.down", "the platform does not answer: down since 2026-05-01T11:00:00Z: refused"},
		{func(f *facts) {
			f.proxy.Upstream, f.proxy.Up = "a up; b down since 2026-05-01T11:00:00Z: refused", true
		}, "upstream.down", "a server of the platform does not answer: a up; b down"},
		{func(f *facts) {
			f.proxy.Peers = []proxy.PeerStatus{{Name: "one", State: "a up; b down since 2026-05-01T11:00:00Z: refused", Up: true}}
		}, "peer.down", "a server of peer one does not answer: a up; b down"},
		{func(f *facts) { f.proxy.Draining = true }, "draining", "drain --off"},
		{func(f *facts) { f.proxy.Transactions = 799 }, "", ""},
		{func(f *facts) { f.proxy.Transactions = 800 }, "transactions.full", "800 of 1000, 80 %"},
		{func(f *facts) { f.proxy.Untrusted = 240 }, "transactions.unknown", "240 of 300, 80 %"},
		{func(f *facts) { f.proxy.Bindings = 100 }, "bindings.full", "100 of 100, 100 %"},
		{func(f *facts) { f.callFile = "disk full" }, "state.calls", "a restart would silence them: disk full"},
		{func(f *facts) { f.memory = "355 of 500 MiB" }, "limit.memory", "memory is short: 355 of 500 MiB"},
		{func(f *facts) { f.open = 40 }, "connections.full", "40 of 50, 80 %"},
		{func(f *facts) { f.most.wanted = 90 }, "connections.descriptors", "is 90, but"},
		{func(f *facts) { f.lines, f.most.lines = 15, 20 }, "", ""},
		{func(f *facts) { f.lines, f.most.lines = 16, 20 }, "media.full", "16 of 20, 80 %"},
		{func(f *facts) { f.journal = "disk is full" }, "state.write", "disk is full"},
		{func(f *facts) { f.knownFile = "disk is full" }, "state.write", "known users cannot be written"},
		{func(f *facts) { f.aside = "the damaged one is /s" }, "state.damaged", "is /s"},
		{func(f *facts) { f.front = fronted(netip.MustParseAddr("172.17.0.1")) }, "ban.fronted", "through 172.17.0.1"},
		{func(f *facts) {
			f.valve = (&opening{until: now, wave: ban.Wave{Known: 10, Lost: 3}, lifted: 1}).String()
		}, "ban.valve", "phones of 3 of 10 registered users vanished after bans: 1 ban lifted"},
		{func(f *facts) { f.watching = 2 }, "checks.watch", "had something to say of 2 messages"},
		{func(f *facts) { f.certs = cert(15*24*time.Hour, "") }, "", ""},
		{func(f *facts) { f.certs = cert(13*24*time.Hour, "") }, "certificate.expires", "expires on 2026-05-14, 13 days left"},
		{func(f *facts) { f.certs = cert(-time.Hour, "") }, "certificate.expired", "/c.pem (a.example) has expired on 2026-05-01"},
		{func(f *facts) { f.certs = cert(90*24*time.Hour, ""); f.certs[0].NotBefore = now.Add(time.Hour) }, "certificate.early", "is not good before 2026-05-01 13:00:00"},
		{func(f *facts) { f.certs = cert(15*24*time.Hour, "the key is another one's") }, "certificate.reload", "the key is"},
		{func(f *facts) { f.certs = cert(-time.Hour, ""); f.certs[0].Authority = true }, "certificate.expired", "the authority /c.pem has expired"},
		{func(f *facts) { f.distrusted = []string{"pbx (127.0.0.1:1): no authority has made it"} }, "tls.failed", "TLS fails with the server pbx"},
		{func(f *facts) { f.reload = &reloaded{OK: true} }, "", ""},
		{func(f *facts) { f.reload = &reloaded{Problems: make(config.Errors, 2)} }, "reload.refused", "2 problems"},
		{func(f *facts) { f.reload = &reloaded{Failure: "no such file"} }, "reload.refused", "no such file"},
		{func(f *facts) { f.restart = []string{"state", "timers.t1"} }, "restart.needed", "restart needed for: state, timers.t1"},
		{func(f *facts) { f.dropped, f.dropAt = 7, now.Add(-time.Minute) }, "events.dropped", "7 are lost"},
		{func(f *facts) { f.dropped, f.dropAt = 7, now.Add(-time.Hour) }, "", ""},
	} {
		f := &facts{at: now, proxy: proxy.Status{Upstream: "up"}, tables: transaction.Config{Max: 1000, Untrusted: 300}, bindings: 100,
			most: budget{connections: 50}}
		c.change(f)
		got := f.concerns()
		if c.id == "" && len(got) > 0 || c.id != "" && (len(got) != 1 || got[0].ID != c.id || !strings.Contains(got[0].Text, c.text)) {
			t.Errorf("want %q with %q, got %v", c.id, c.text, got)
		}
	}
}

// TestJournalConcern: a journal that fails needs attention until it works again.
func TestJournalConcern(t *testing.T) {
	s := &service{ring: event.NewRing(64)}
	tell := s.journalState("registrations", reasonState, &s.journalError)
	tell(errors.New("disk is full"))
	if why := s.journalError.Load(); why == nil || *why != "disk is full" {
		t.Errorf("noted %v", why)
	}
	tell(nil)
	if why := s.journalError.Load(); why != nil {
		t.Errorf("still noted: %v", *why)
	}
	if e, _ := s.ring.Next(); e.Reason != reasonState || e.Message != "registrations cannot be written: disk is full" {
		t.Errorf("told %+v", e)
	}
}

func TestSortChanges(t *testing.T) {
	read := func(text string) *config.Config {
		c, err := config.Parse("test.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	demo, one, other := read(""), read("upstreams: [{uri: \"sip:10.0.0.1\"}]"), read("upstreams: [{uri: \"sip:10.0.0.2\"}]\nlimits: {calls: 5}")
	const listen = "upstreams: [{uri: \"sip:10.0.0.1\"}]\noutside: {listen: [\"tls:192.0.2.1:5061\"]}\ntls: {certificate: "
	secure, again := read(listen+"a, key: a}"), read(listen+"b, key: b}")
	for _, c := range []struct {
		from, to         *config.Config
		changed, restart []string
	}{
		{one, one, nil, nil},
		{one, other, []string{"upstreams"}, []string{"limits.calls"}},
		{demo, one, nil, []string{"upstreams"}},
		{one, demo, nil, []string{"upstreams"}},
		{secure, again, []string{"tls"}, nil},
		{secure, one, nil, []string{"outside.listen", "tls"}}, // the listener stays, and needs its certificate
		{one, secure, []string{"tls"}, []string{"outside.listen"}},
	} {
		changed, restart := sortChanges(c.from, c.to)
		if !slices.Equal(changed, c.changed) || !slices.Equal(restart, c.restart) {
			t.Errorf("changed %v, restart %v, want %v and %v", changed, restart, c.changed, c.restart)
		}
	}
}

// TestLiveKeysAreDocumented: docs/config.md lists the keys that a reload puts in force, in the same order.
func TestLiveKeysAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Join(strings.Fields("`"+strings.Join(live, "`, `")+"`."), " ")
	if !strings.Contains(strings.Join(strings.Fields(string(page)), " "), list) {
		t.Errorf("docs/config.md does not list %s", list)
	}
}

// TestAsideConcern: damaged state files are named until they are taken away.
func TestAsideConcern(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.db")
	for i, want := range []string{"", "damaged-20260501", "and 1 older one beside it"} {
		if got := setAside(state); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%d files: %q", i, got)
		}
		for _, tail := range []string{"", "-wal"} {
			if err := os.WriteFile(fmt.Sprintf("%s.damaged-2026050%d%s", state, i+1, tail), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
