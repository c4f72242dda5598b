package sip

import "testing"

// TestPrefixes parses every prefix of messages, in both ways, beside the reference: no panic, no span outside, and
// nothing accepted that the reference refuses.
func TestPrefixes(t *testing.T) {
	for _, raw := range []string{string(invite), answered, seedMessages[1], seedMessages[2]} {
		for n := range len(raw) + 1 {
			compare(t, []byte(raw[:n]), true)
			compare(t, []byte(raw[:n]), false)
		}
	}
}

// TestBytes puts every byte value at every place of a message.
func TestBytes(t *testing.T) {
	raw := []byte(seedMessages[1])
	step := 1
	if testing.Short() {
		step = 7
	}
	for at := 0; at < len(raw); at += step {
		keep := raw[at]
		for c := range 256 {
			raw[at] = byte(c)
			compare(t, raw, true)
		}
		raw[at] = keep
	}
}
