package binding

import (
	"bytes"
	"time"
)

// MaxExpires is the longest life of a binding. A registration that is not refreshed within a day belongs to a phone
// that is gone; letting it stay would fill the bounded table with the dead. Whoever shows the phone its registration
// shows no more than this, so that it refreshes in time.
const MaxExpires = 24 * time.Hour

// Expires returns the life of a registration: the expires parameter of the Contact where there is one, else the
// Expires header field, else fallback (RFC 3261 §10.2.4, §10.3). Both are given as text, empty when absent. What is
// not a row of digits ("-1", "3600x", "") does not make the binding eternal nor end it: it counts as fallback, as RFC
// 3261 §20.10 has it for malformed values. Nothing is longer than MaxExpires, also where the number overflows. 0 means
// that the binding is removed.
func Expires(contactParam, expiresField []byte, fallback time.Duration) time.Duration {
	given := trimmed(contactParam)
	if len(given) == 0 {
		given = trimmed(expiresField)
	}
	life := min(max(fallback, 0), MaxExpires)
	if seconds, ok := deltaSeconds(given); ok {
		life = min(time.Duration(seconds)*time.Second, MaxExpires)
	}
	return life
}

// trimmed is text without white space around it, of which there is nearly never any.
func trimmed(text []byte) []byte {
	if n := len(text); n == 0 || isDigit(text[0]) && isDigit(text[n-1]) {
		return text
	}
	return bytes.TrimSpace(text)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// deltaSeconds reads 1*DIGIT (RFC 3261 §25.1), saturating far above MaxExpires.
func deltaSeconds(text []byte) (seconds int64, ok bool) {
	for _, c := range text {
		if !isDigit(c) {
			return 0, false
		}
		seconds = min(seconds*10+int64(c-'0'), 1<<32)
	}
	return seconds, len(text) > 0
}
