package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// duration reads a length of time with its unit, from least to most.
func duration(dst *time.Duration, least, most time.Duration) reader {
	return func(d *decoder, n *node, path string) {
		if !d.is(n, path, text, number) {
			return
		}
		v, err := ParseDuration(n.text) // "0" needs no unit
		switch {
		case err != nil && n.kind == number:
			d.report(n.at, path, n.text+" has no unit", "write "+n.text+"s or "+n.text+"ms")
		case err != nil:
			d.report(n.at, path, quoted(n.text)+" is not a length of time", "write 500ms, 25s, 15m, 1h30m or 7d")
		case v < least || v > most:
			d.report(n.at, path, fmt.Sprintf("%s is not from %s to %s", n.text, spanText(least), spanText(most)), "")
		default:
			*dst = v
		}
	}
}

// spanText writes d as people write it into the file: "10m", "365d".
func spanText(d time.Duration) string {
	const day = 24 * time.Hour
	if d > day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ParseDuration is time.ParseDuration that knows days, too: "7d", "1d12h".
func ParseDuration(s string) (time.Duration, error) {
	days, rest, found := strings.Cut(s, "d")
	if !found {
		return time.ParseDuration(s)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a length of time", s)
	}
	var more time.Duration
	if rest != "" {
		more, err = time.ParseDuration(rest)
	}
	if err != nil || more < 0 {
		return 0, fmt.Errorf("%q is not a length of time", s)
	}
	return time.Duration(n)*24*time.Hour + more, nil
}

// units of sizes, longest names first.
var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}}

// size reads a number of bytes with its unit (none: bytes), from least to most. word, if not "", stands for 0.
func size(dst *int64, least, most int64, word string) reader {
	return func(d *decoder, n *node, path string) {
		if !d.is(n, path, text, number) {
			return
		}
		if word != "" && n.text == word {
			*dst = 0
			return
		}
		v, ok := parseSize(n.text)
		switch {
		case !ok:
			d.report(n.at, path, quoted(n.text)+" is not a size", "write 64KiB, 512MiB or 2GiB"+orWord(word))
		case v < least || v > most:
			d.report(n.at, path, fmt.Sprintf("%s is not from %s to %s", n.text, sizeText(least), sizeText(most)), "")
		default:
			*dst = v
		}
	}
}

// small is size for an int, without a word for none.
func small(dst *int, least, most int64) reader {
	return func(d *decoder, n *node, path string) {
		v := int64(*dst)
		size(&v, least, most, "")(d, n, path)
		*dst = int(v)
	}
}

// orWord adds word to a list of what can be written.
func orWord(word string) string {
	if word == "" {
		return ""
	}
	return ", or " + word
}

// parseSize reads digits and a unit.
func parseSize(s string) (int64, bool) {
	unit := int64(1)
	for _, u := range units {
		if rest, found := strings.CutSuffix(s, u.name); found {
			s, unit = strings.TrimSuffix(rest, " "), u.bytes
			break
		}
	}
	v, err := strconv.ParseUint(s, 10, 62)
	if err != nil || int64(v) > math.MaxInt64/unit {
		return 0, false
	}
	return int64(v) * unit, true
}

// sizeText writes v in the largest unit that divides it.
func sizeText(v int64) string {
	for _, u := range []int{2, 1, 0} {
		if v >= units[u].bytes && v%units[u].bytes == 0 {
			return strconv.FormatInt(v/units[u].bytes, 10) + units[u].name
		}
	}
	return strconv.FormatInt(v, 10) + "B"
}
