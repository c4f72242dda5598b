package e2e

import (
	"strings"

	"github.com/ringwall/ringwall/siptest"
)

// leakyDescription lets the session description in a message of the platform tell of it in every line that may: the origin and the addresses
// as they are, the texts of the session, candidates, attributes that nobody has heard of. It changes nothing that a far end must know.
func (r *rig) leakyDescription(m *siptest.Message) {
	if !strings.Contains(m.Body, "v=0\r\n") || strings.Contains(m.Body, "mark-") {
		return
	}
	at := r.platform.Addr.Addr().String()
	before, media, found := strings.Cut(m.Body, "\r\nm=")
	if !found {
		return
	}
	before = strings.NewReplacer(
		"o=- ", "o=mark-user ",
		" 127.0.0.1", " 10.77.0.9", // the description that leads nowhere
		"s=-\r\n", "s=mark-session\r\ni=mark-info\r\nu=http://mark-uri.example/\r\ne=mark-mail@10.77.0.9\r\np=+1 mark-phone\r\n",
		"t=0 0", "t=0 0\r\nr=7d 1h 0 25h\r\nk=prompt\r\na=tool:mark-tool\r\na=x-host:[fd77::6]\r\na=source-filter: incl IN IP4 * "+at,
	).Replace(before)
	line, rest, _ := strings.Cut(media, "\r\n")
	m.Body = before + "\r\nm=" + line + "\r\n" + strings.Join([]string{
		"a=alt:1 1 : mark-alt 2 " + at + " 4000",
		"a=candidate:1 1 UDP 2130706431 " + at + " 4000 typ host",
		"a=candidate:2 1 UDP 1694498815 10.77.0.9 4002 typ srflx raddr " + at + " rport 4000",
		"a=ssrc:7 cname:desk@" + at,
		"a=x-where:" + at,
		"a=label:10.77.0.8",
	}, "\r\n") + "\r\n" + rest
}
