//go:build !race

package sdp

import "testing"

// TestAllocations: once a Session has grown, nothing on the way of a description allocates.
func TestAllocations(t *testing.T) {
	var s Session
	var n Numbering
	out := make([]byte, 0, 4096)
	plan := plain(2)
	plan.Clean, plan.Media[0].Ufrag, plan.Media[0].Pwd = clean, "ours", pwd
	texts := [][]byte{[]byte(audio), []byte(everything), []byte(webrtc), []byte(one("c=IN IP6 2001:db8::7", "a=RTCP:9 IN IP6 2001:db8::7", "a=x:2001:db8::7"))}
	broken := []byte(one("c=IN IP4 host.example.com"))
	contentType, body := []byte("multipart/mixed; boundary=\"x y\""), []byte("--x y\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x y--\r\n")
	for name, run := range map[string]func(){
		"Parse and Rewrite": func() {
			for _, text := range texts {
				_ = s.Parse(text)
				n.Apply(&s, plan)
				out, _ = s.Rewrite(out[:0], plan)
			}
		},
		"refusal":  func() { _ = s.Parse(broken) },
		"FindPart": func() { _, _, _, _ = FindPart(contentType, body) },
	} {
		if n := testing.AllocsPerRun(200, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
