package e2e

import (
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestNamedUpstreamOverTLS: a server that SRV records lead to must show the certificate of the domain in the uri. One of the host that the
// DNS names will not do, for whoever writes DNS records could then be the platform (RFC 5922 §7.1).
func TestNamedUpstreamOverTLS(t *testing.T) {
	for shows, good := range map[string]bool{"platform.example": true, "a.voice.example": false} {
		t.Run(shows, func(t *testing.T) {
			t.Parallel()
			s := &site{dir: t.TempDir()}
			var err error
			if s.authority, err = siptest.NewAuthority(); err == nil {
				err = s.authority.Write(s.file("ca.pem"))
			}
			if err != nil {
				t.Fatal(err)
			}
			pair, err := tls.LoadX509KeyPair(s.issue(t, "server", shows))
			if err != nil {
				t.Fatal(err)
			}
			platform := siptest.NewTLSPlatform(t, &tls.Config{Certificates: []tls.Certificate{pair}})
			dns := siptest.NewNameserver(t, fmt.Sprintf("_sips._tcp.platform.example. 60 IN SRV 1 1 %d a.voice.example.", platform.Addr.Port()),
				fmt.Sprintf("a.voice.example. 60 IN A %v", platform.Addr.Addr()))
			inside, err := siptest.FreeAddr(siptest.OwnIP())
			if err != nil {
				t.Fatal(err)
			}
			e := siptest.StartEdge(t, siptest.Outlets{Secure: true, DNS: dns.Addr}, siptest.Keys{
				"upstreams": fmt.Sprintf("[{uri: \"sip:platform.example;transport=tls\", ca: %q}]", s.file("ca.pem")),
				"inside":    fmt.Sprintf("{listen: [\"tls:%v\"]}", inside)})
			e.Inside = inside
			r := &rig{T: t, edge: e, platform: platform, way: udp, hidden: true}
			if good {
				c := r.call(r.phone("alice"))
				r.bye(c.phone, c.platform)
				return
			}
			phone := r.phone("alice")
			phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
			e.WaitLog("its certificate is not for platform.example")
			platform.Silence(hush, "INVITE")
		})
	}
}
