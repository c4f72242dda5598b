package demo

import (
	"fmt"
	"io"
	"strings"
)

// Banner prints exactly what to type into a softphone: server, user, password and transport of each account, the numbers
// to dial, and one baresip command that works as it stands with baresip 1.0 (Debian 12). outside are the listeners that
// phones can reach, as in the config file ("udp:192.0.2.5:5060"), wildcards already expanded, the best one first.
func (p *Platform) Banner(w io.Writer, outside []string) {
	if len(outside) == 0 {
		outside = []string{"udp:" + p.addr.String(), "tcp:" + p.addr.String()}
	}
	transport, server := splitListener(outside[0])
	fmt.Fprintf(w, "Demonstration platform: no upstreams are configured, so ringwall brought its own.\n\n")
	fmt.Fprintf(w, "Type this into a softphone (any one of the accounts):\n\n")
	fmt.Fprintf(w, "  %-9s %-24s %-9s %-14s %s\n", "user", "server (domain)", "transport", "password", "digest")
	for _, a := range p.accounts {
		fmt.Fprintf(w, "  %-9s %-24s %-9s %-14s %s\n", a.User, server, transport, a.Password, a.Algorithm)
	}
	fmt.Fprintf(w, "\n  also reachable:")
	for _, o := range outside {
		fmt.Fprintf(w, " %s", o)
	}
	fmt.Fprintf(w, "\n\nThen dial:\n\n")
	for _, e := range extensions {
		fmt.Fprintf(w, "  %-9s %s\n", e.Number, e.What)
	}
	for _, a := range p.accounts {
		fmt.Fprintf(w, "  %-9s the phones of %s\n", a.User, a.User)
	}
	a := p.accounts[0]
	fmt.Fprintf(w, "\nWith baresip 1.0 or newer:\n\n  baresip -e '/uanew <sip:%s@%s;transport=%s>;auth_pass=%s'\n",
		a.User, server, transport, a.Password)
	fmt.Fprintf(w, "  (then type /dial 600 and Enter; the quoted part without /uanew is also a line for ~/.baresip/accounts)\n")
	fmt.Fprintf(w, "\nThe passwords change at each start. baresip 1.0 knows MD5 only: carol is for phones that know SHA-256 (RFC 8760).\n\n")
}

// splitListener cuts "udp:192.0.2.5:5060" into transport and server.
func splitListener(s string) (transport, server string) {
	for _, t := range []string{"udp", "tcp"} {
		if rest, ok := strings.CutPrefix(s, t+":"); ok {
			return t, rest
		}
	}
	return "udp", s
}
