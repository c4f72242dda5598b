package media

import (
	"encoding/hex"
	"strings"
	"testing"
)

// bytesOf reads hexadecimal with blanks.
func bytesOf(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestClassify(t *testing.T) {
	rtpBytes := "8000 0001 00000000 00000001"
	for _, c := range []struct {
		what, bytes          string
		alone, onRTCP, muxed kind
	}{
		{"nothing", "", junk, junk, junk},
		{"one byte", "80", junk, junk, junk},
		{"RTP", rtpBytes, rtp, junk, rtp},
		{"RTP with marker, payload type 96", "80e0 0001 00000000 00000001", rtp, junk, rtp},
		{"RTP too short", "8000 0001 00000000 000000", junk, junk, junk},
		{"RTP with 2 sources", "8200 0001 00000000 00000001 00000002 00000003", rtp, junk, rtp},
		{"RTP with 15 sources, cut", "8f00 0001 00000000 00000001 00000002", junk, junk, junk},
		{"RTP with extension", "9000 0001 00000000 00000001 bede0001 10ff0000", rtp, junk, rtp},
		{"RTP with empty extension", "9000 0001 00000000 00000001 bede0000", rtp, junk, rtp},
		{"RTP with extension, cut", "9000 0001 00000000 00000001 bedeffff 10ff0000", junk, junk, junk},
		{"RTP version 1", "4000 0001 00000000 00000001", junk, junk, junk},
		{"RTP version 3", "c000 0001 00000000 00000001", junk, junk, junk},
		{"RTCP sender report", "80c8 0006 00000001" + strings.Repeat("00000000", 5), rtp, rtcp, rtcp},
		{"RTCP receiver report without blocks", "80c9 0001 00000001", junk, rtcp, rtcp},
		{"RTCP with a length beyond its end", "80c9 0002 00000001 0000", junk, junk, junk},
		{"SRTCP", "80c9 0001 00000001 80000001 0123456789abcdef0123", rtp, rtcp, rtcp},
		{"DTLS hello", "16 fefd 0000 000000000000 0001 01", dtls, dtls, dtls},
		{"DTLS header alone", "16 fefd 0000 000000000000 0001", junk, junk, junk},
		{"ZRTP", "1000 0001 5a525450 00000001", zrtp, zrtp, zrtp},
		{"STUN", "0001 0000 2112a442 000000000000000000000001", stun, stun, stun},
		{"STUN without cookie", "0001 0000 00000000 000000000000000000000001", junk, junk, junk},
		{"STUN with a false length", "0001 0004 2112a442 000000000000000000000001", junk, junk, junk},
		{"TURN channel", "4000 0000 00000000 00000000", junk, junk, junk},
		{"SIP", hex.EncodeToString([]byte("OPTIONS sip:x SIP/2.0")), junk, junk, junk},
	} {
		b := bytesOf(t, c.bytes)
		if alone, onRTCP, muxed := classify(b, false, false), classify(b, true, false), classify(b, false, true); alone != c.alone || onRTCP != c.onRTCP || muxed != c.muxed {
			t.Errorf("%s: RTP port %d, RTCP port %d, shared %d; want %d, %d, %d", c.what, alone, onRTCP, muxed, c.alone, c.onRTCP, c.muxed)
		}
	}
}

// FuzzClassify: whatever a packet is said to be, reading it as that stays within it.
func FuzzClassify(f *testing.F) {
	for _, seed := range []string{"", "80", "8f000001000000000000000100000002", "9000000100000000000000010001ffff", "80c90001000000018000", "000100002112a442000000000000000000000001"} {
		f.Add(bytesOf(f, seed), false, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, onRTCP, mux bool) {
		var fl flow
		switch classify(b, onRTCP, mux) {
		case rtp:
			if onRTCP {
				t.Errorf("RTP on the RTCP port: %x", b)
			}
			fl.add(b, 1)
			fl.add(b, 2)
		case rtcp:
			if !onRTCP && !mux || len(b) < rtcpHeader {
				t.Errorf("RTCP: %x", b)
			}
		case stun:
			parseSTUN(b)
		}
	})
}
