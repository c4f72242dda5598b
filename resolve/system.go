package resolve

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Bounds of what is read of the system's files.
const (
	maxFile    = 1 << 20
	maxServers = 3 // as the C library
	maxTries   = 3
	maxSearch  = 6
	hostsTTL   = 30 * time.Second // how soon a change of the hosts file is seen
)

// system is what the machine's files say of names. They are read again when they change.
type system struct {
	mu     sync.Mutex
	resolv file
	hosts  file
	dns    *dns.ClientConfig
	byName map[string][]netip.Addr // of hosts: lower case, no last dot
}

// A file is one that is read again when it changes.
type file struct {
	path string
	size int64
	at   time.Time
	read bool
}

// changed returns the text of f if it is another than the last time. A file that cannot be read is as good as an empty one.
func (f *file) changed() (text []byte, changed bool) {
	info, err := os.Stat(f.path)
	if err != nil {
		changed = !f.read || f.size != -1
		f.read, f.size, f.at = true, -1, time.Time{}
		return nil, changed
	}
	if f.read && info.Size() == f.size && info.ModTime().Equal(f.at) {
		return nil, false
	}
	f.read, f.size, f.at = true, info.Size(), info.ModTime()
	in, err := os.Open(f.path)
	if err != nil {
		return nil, true
	}
	defer in.Close()
	text, err = io.ReadAll(io.LimitReader(in, maxFile))
	if err != nil {
		return nil, true
	}
	return text, true
}

// conf is what resolv.conf says now, within bounds. It is not to be written.
func (s *system) conf() *dns.ClientConfig {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text, changed := s.resolv.changed(); changed || s.dns == nil {
		c, err := dns.ClientConfigFromReader(bytes.NewReader(text))
		if err != nil {
			c = &dns.ClientConfig{Ndots: 1, Attempts: 2}
		}
		c.Servers = slices.DeleteFunc(c.Servers, func(a string) bool { _, err := serverAddr(a); return err != nil })
		if len(c.Servers) == 0 {
			c.Servers = []string{"127.0.0.1", "::1"} // as resolv.conf(5) says
		}
		c.Servers = c.Servers[:min(maxServers, len(c.Servers))]
		c.Search = c.Search[:min(maxSearch, len(c.Search))]
		c.Attempts = min(maxTries, max(1, c.Attempts))
		s.dns = c
	}
	return s.dns
}

// servers are those to ask, as address:port, and how often to try them all.
func (r *Resolver) servers() (list []string, tries int) {
	from, tries := r.cfg.Servers, 2
	if len(from) == 0 {
		c := r.system.conf()
		from, tries = c.Servers, c.Attempts
	}
	for _, s := range from {
		if at, err := serverAddr(s); err == nil {
			list = append(list, at)
		}
	}
	return list, tries
}

// names are those to ask for the addresses of host, by the search list of resolv.conf.
func (s *system) names(host string) []string { return s.conf().NameList(host) }

// hostAddrs is what the hosts file says of host, in its order. localhost needs no file (RFC 6761 §6.3).
func (s *system) hostAddrs(host string) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text, changed := s.hosts.changed(); changed || s.byName == nil {
		s.byName = readHosts(string(text))
	}
	name := strings.ToLower(bare(host))
	if all := s.byName[name]; len(all) > 0 {
		return slices.Clone(all)
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return nil
}

// readHosts reads lines of "address name…" with comments from "#" on. What is not of that form is passed over.
func readHosts(text string) map[string][]netip.Addr {
	byName := map[string][]netip.Addr{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		a, err := netip.ParseAddr(words[0])
		if err != nil || !sendable(a) {
			continue
		}
		a = a.Unmap()
		for _, word := range words[1:] {
			name := strings.ToLower(bare(word))
			if !slices.Contains(byName[name], a) && len(byName[name]) < maxRecords {
				byName[name] = append(byName[name], a)
			}
		}
	}
	return byName
}
