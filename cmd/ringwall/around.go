package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/ban"
)

// lookAround is how often the machine's surroundings are looked at for who is never to be banned.
const lookAround = 30 * time.Second

// protect tells the ban book who is never to be banned: ourselves, the platform, who we need (gateway, DNS, load balancers), the peers,
// the operator, and whom the configuration names.
func (s *service) protect(now *settings) {
	var all []ban.Exemption
	add := func(why string, list ...netip.Prefix) {
		for _, p := range list {
			if p.IsValid() && !slices.ContainsFunc(all, func(e ban.Exemption) bool { return e.Prefix == p }) {
				all = append(all, ban.Exemption{Prefix: p, Why: why})
			}
		}
	}
	add("this machine", single(netip.AddrFrom4([4]byte{127, 0, 0, 1})), single(netip.IPv6Loopback()))
	for _, l := range s.transport.Listeners() {
		add("own address", single(l.Addr.Addr()))
	}
	add("own address", interfaces()...)
	if a, err := netip.ParseAddr(strings.Trim(now.cfg.Outside.Advertise, "[]")); err == nil {
		add("own address (outside.advertise)", single(a))
	}
	for _, u := range now.platform() {
		add("the platform (upstreams)", single(u.Addr.Addr()))
	}
	add("the platform (inside.sources)", now.cfg.Inside.Sources...)
	add("trust.never_ban", now.cfg.Trust.NeverBan...)
	for _, t := range now.trunks {
		add("peer "+t.Name, t.Match...)
		for _, to := range t.Targets {
			add("peer "+t.Name, single(to.Addr.Addr()))
		}
	}
	add("a load balancer (outside.proxy_protocol)", now.cfg.Outside.ProxyProtocol...)
	add("the default gateway", gateways(contents("/proc/net/route"), contents("/proc/net/ipv6_route"))...)
	add("a DNS server", nameservers(contents("/etc/resolv.conf"))...)
	add("an operator is signed in from there", signedIn(contents("/run/utmp"))...)
	add("an operator is signed in from there", s.operators.list(time.Now())...)
	s.bans.SetNever(all, time.Now())
}

// single is the prefix of one address, of none if a is none.
func single(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}

// interfaces are the addresses that this machine has now.
func interfaces() (all []netip.Prefix) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the listeners' are known all the same
	}
	for _, one := range list {
		if n, ok := one.(*net.IPNet); ok {
			a, _ := netip.AddrFromSlice(n.IP)
			all = append(all, single(a))
		}
	}
	return all
}

// contents is what a small file holds, nothing if it cannot be read: not every system has each.
func contents(name string) []byte {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return text
}

// gateways are those of default routes, as /proc/net/route and /proc/net/ipv6_route list them.
func gateways(four, six []byte) (all []netip.Prefix) {
	for line := range bytes.Lines(four) {
		f := strings.Fields(string(line)) // interface, destination, gateway, flags, …, mask: an address is printed as the number it is in memory
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		if n, err := strconv.ParseUint(f[2], 16, 32); err == nil {
			var a [4]byte
			binary.NativeEndian.PutUint32(a[:], uint32(n))
			all = appendGateway(all, netip.AddrFrom4(a))
		}
	}
	for line := range bytes.Lines(six) {
		f := strings.Fields(string(line)) // destination, its length, source, its length, next hop, …
		if len(f) < 5 || f[1] != "00" || strings.Trim(f[0], "0") != "" {
			continue
		}
		if b, err := hex.DecodeString(f[4]); err == nil && len(b) == 16 {
			all = appendGateway(all, netip.AddrFrom16([16]byte(b)))
		}
	}
	return all
}

func appendGateway(all []netip.Prefix, a netip.Addr) []netip.Prefix {
	if p := single(a); !a.IsUnspecified() && !slices.Contains(all, p) {
		all = append(all, p)
	}
	return all
}

// nameservers are those of resolv.conf(5), with a port or without.
func nameservers(conf []byte) (all []netip.Prefix) {
	for lines := bufio.NewScanner(bytes.NewReader(conf)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			all = append(all, single(a))
		} else if a, err := netip.ParseAddrPort(f[1]); err == nil {
			all = append(all, single(a.Addr()))
		}
	}
	return all
}

// Offsets in a record of utmp(5) on Linux, and its size.
const (
	utmpAddr    = 348
	utmpSize    = 384
	userProcess = 7
)

// signedIn are the addresses that users are signed in from, as utmp(5) lists them: only who has signed in stands there, so that nobody
// escapes a ban by knocking at the SSH port.
func signedIn(utmp []byte) (all []netip.Prefix) {
	for ; len(utmp) >= utmpSize; utmp = utmp[utmpSize:] {
		if binary.NativeEndian.Uint16(utmp) != userProcess {
			continue
		}
		b := [16]byte(utmp[utmpAddr : utmpAddr+16])
		a := netip.AddrFrom16(b)
		if [12]byte(b[4:]) == [12]byte{} {
			a = netip.AddrFrom4([4]byte(b[:4]))
		}
		if !a.IsUnspecified() {
			all = append(all, single(a))
		}
	}
	return all
}

// sshPeer is where this process's user is signed in from, by what sshd says of the session. sudo takes that out of the environment, but leaves it
// in that of the shell it was called from.
func sshPeer() netip.Addr {
	if said := os.Getenv("SSH_CONNECTION"); said != "" {
		return sshClient(said)
	}
	return sessionOf(os.Getppid(), contents)
}

// sshClient is the address that a value of SSH_CONNECTION begins with.
func sshClient(said string) netip.Addr {
	from, _, _ := strings.Cut(said, " ")
	a, err := netip.ParseAddr(from)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// sessionOf is where the user of a process, or of one that it descends from, is signed in from. read returns a file of proc(5), nothing where this
// user may not read it.
func sessionOf(pid int, read func(name string) []byte) netip.Addr {
	const generations = 16
	for range generations {
		if pid <= 1 {
			break
		}
		of := "/proc/" + strconv.Itoa(pid)
		for one := range bytes.SplitSeq(read(of+"/environ"), []byte{0}) {
			if said, found := bytes.CutPrefix(one, []byte("SSH_CONNECTION=")); found {
				return sshClient(string(said))
			}
		}
		stat := read(of + "/stat")
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // behind the name: state, parent
		if len(f) < 2 {
			break
		}
		pid, _ = strconv.Atoi(string(f[1]))
	}
	return netip.Addr{}
}

// Operators who used a verb stay protected for operatorTime; the latest mostOperators do.
const (
	operatorTime  = 24 * time.Hour
	mostOperators = 64
)

// operators are the addresses that operators came from, as their verbs told.
type operators struct {
	mu   sync.Mutex
	seen map[netip.Addr]time.Time
}

// note remembers an operator's address; it reports whether it is new.
func (o *operators) note(a netip.Addr, at time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	a = a.Unmap().WithZone("")
	if o.seen == nil {
		o.seen = map[netip.Addr]time.Time{}
	}
	_, known := o.seen[a]
	if len(o.seen) < mostOperators || known {
		o.seen[a] = at
	}
	return !known
}

// list are the addresses of now.
func (o *operators) list(at time.Time) (all []netip.Prefix) {
	if own := sshPeer(); own.IsValid() { // who started the service
		all = append(all, single(own))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for a, seen := range o.seen {
		if at.Sub(seen) > operatorTime {
			delete(o.seen, a)
		} else {
			all = append(all, single(a))
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return all
}
