package sip

import "strings"

// Defects are oddities of a message that parses: what checks feed on.
type Defects uint32

// Defects, one bit each.
const (
	DefectFolded           Defects = 1 << iota // a field is folded over several lines (RFC 3261 §7.3.1; deprecated practice)
	DefectCompact                              // a field name in compact form
	DefectWhitespace                           // white space between a field name and its colon
	DefectSpelling                             // a known field name in unusual case
	DefectLeadingCRLF                          // CRLF before the start line of a datagram
	DefectTrailing                             // bytes after the body of a datagram, cut off
	DefectDupContentLength                     // Content-Length twice, with equal values
	DefectNoContentLength                      // no Content-Length (datagrams only)
	DefectNoBranch                             // topmost Via has no branch (RFC 2543)
	DefectNoCookie                             // branch of the topmost Via lacks z9hG4bK (RFC 2543)
	DefectNoFromTag                            // From has no tag (RFC 2543)
	DefectNoMaxForwards                        // request without Max-Forwards
	DefectUnknownMethod                        // method that is not in the list of Method
	DefectURIHeaders                           // Request-URI with a headers part (RFC 3261 §19.1.1 forbids it there)
	DefectPassword                             // Request-URI with a password
	DefectUnknownScheme                        // Request-URI that is no sip, sips or tel URI
	DefectQuotedControl                        // control byte as a quoted-pair
	defectsEnd
)

var defectNames = [...]string{"folded", "compact", "whitespace", "spelling", "leading_crlf", "trailing",
	"dup_content_length", "no_content_length", "no_branch", "no_cookie", "no_from_tag", "no_max_forwards",
	"unknown_method", "uri_headers", "password", "unknown_scheme", "quoted_control"}

// String lists the names of the bits set in d, joined by "+"; "" if there are none.
func (d Defects) String() string {
	var names []string
	for i, name := range defectNames {
		if d&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}
