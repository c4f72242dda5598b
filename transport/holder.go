package transport

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/edge"
)

// findHolder names the process that holds addr, "process 812 (kamailio)", or returns "". proc is /proc.
func findHolder(proc string, t edge.Transport, addr netip.AddrPort) string {
	var inodes []string
	name := "udp"
	if t.Stream() {
		name = "tcp"
	}
	for _, suffix := range []string{"", "6"} {
		table, err := os.ReadFile(filepath.Join(proc, "net", name+suffix))
		if err != nil {
			continue
		}
		inodes = append(inodes, holdingInodes(string(table), t, addr)...)
	}
	if len(inodes) == 0 {
		return ""
	}
	return processOf(proc, inodes)
}

// holdingInodes picks from a table of /proc/net the sockets that stand in the way of binding addr: same port, and the same
// or a wildcard address.
func holdingInodes(table string, t edge.Transport, addr netip.AddrPort) []string {
	const local, state, inode, listening = 1, 3, 9, "0A"
	var found []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) <= inode || t.Stream() && f[state] != listening {
			continue
		}
		held, ok := parseProcAddr(f[local])
		if ok && held.Port() == addr.Port() && (held.Addr() == addr.Addr() || held.Addr().IsUnspecified()) {
			found = append(found, f[inode])
		}
	}
	return found
}

// parseProcAddr reads "0100007F:13C4": 32-bit words in the machine's byte order (little endian on all that Go and this
// program are built for), then the port.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	n, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), ok
}

// processOf looks through the descriptors of all processes for one of the sockets. What it may not read it skips.
func processOf(proc string, inodes []string) string {
	fds, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil {
			continue
		}
		inode, ok := strings.CutPrefix(target, "socket:[")
		if ok && slices.Contains(inodes, strings.TrimSuffix(inode, "]")) {
			dir := filepath.Dir(filepath.Dir(fd))
			name, _ := os.ReadFile(filepath.Join(dir, "comm"))
			return fmt.Sprintf("process %s (%s)", filepath.Base(dir), strings.TrimSpace(string(name)))
		}
	}
	return ""
}
