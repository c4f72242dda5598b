package load

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Report says what a Run did. Times are in seconds and microseconds, as their names say.
type Report struct {
	Mode            Mode     `json:"mode"`
	Started         int      `json:"started"`   // calls, transactions or packets
	Completed       int      `json:"completed"` // in flood mode: packets sent
	Failed          int      `json:"failed"`    // gave up after 64*T1, or refused
	Seconds         float64  `json:"seconds"`
	PerSecond       float64  `json:"per_second"` // completed: session establishment or registration rate (RFC 7502)
	P50Micros       float64  `json:"p50_us"`     // first request to final answer
	P99Micros       float64  `json:"p99_us"`
	MaxMicros       float64  `json:"max_us"`
	CallerSent      int      `json:"caller_sent"` // messages, retransmissions included
	CallerGot       int      `json:"caller_got"`
	PlatformSent    int      `json:"platform_sent"`
	PlatformGot     int      `json:"platform_got"`
	Retransmitted   int      `json:"retransmitted"` // by the generator, both ends
	Repeated        int      `json:"repeated"`      // further copies of a message of a live call that arrived
	Late            int      `json:"late"`          // copies that arrived after their call had ended
	Probes          int      `json:"probes"`        // OPTIONS of the edge's own to the platform, answered
	Missing         int      `json:"missing"`       // 180 that had not come when its 200 came; if the system reorders, when its call ended
	Hides           bool     `json:"hides"`         // the system hides the inside: Traits
	Reorders        bool     `json:"reorders"`      // the system may: Traits
	Overtaken       int      `json:"overtaken"`     // 100, 180 or ACK that came after a later message
	Unexpected      int      `json:"unexpected"`    // messages that belong to nothing
	Leaks           int      `json:"leaks"`         // messages to callers that named an address inside; looked for if the system hides
	Faults          int      `json:"faults"`        // fields that were not as they must be
	Examples        []string `json:"examples,omitempty"`
	GeneratorMicros float64  `json:"generator_us_per_message"` // CPU of the generator's thread per message sent or received
	HandoverMicros  float64  `json:"handover_us_per_message"`  // CPU that it took the kernel to bring a message to the system, on the generator's thread; with a Card only
}

// Valid returns why the run does not count, nil if it does: every call complete, every field right, nothing unsolicited.
// Examples says more.
func (r *Report) Valid() error {
	var why []string
	note := func(n int, what string) {
		if n != 0 {
			why = append(why, fmt.Sprintf("%d %s", n, what))
		}
	}
	if r.Mode == Flood {
		note(r.CallerGot, "replies to a flood that must get none")
		note(r.PlatformGot-r.Probes, "flood packets forwarded to the platform")
	} else {
		note(r.Started-r.Completed, "incomplete")
		note(r.Unexpected, "unsolicited messages")
		note(r.Faults, "wrong fields")
		if r.Retransmitted == 0 {
			note(r.Late, "copies after the end though nothing was lost")
			note(r.Missing-r.mayLose(), "180 lost or overtaken")
			note(r.Repeated, "repeated messages though nothing was lost")
			if r.Mode == Call {
				note(max(4*r.Completed-r.CallerGot-r.Missing, 0), "messages short of four to the caller of each call")
				note(max(3*r.Completed-r.PlatformGot+r.Probes, 0), "messages short of three to the platform for each call")
			}
		}
	}
	if why == nil {
		return nil
	}
	return errors.New(strings.Join(why, ", "))
}

// mayLose is how many 180 may be missing: none, but one call in ten of a system that reorders and then, rightly, does not
// forward a 180 after the 200 (RFC 3261 §16.7 step 5).
func (r *Report) mayLose() int {
	if r.Reorders {
		return min(r.Missing, r.Completed/10)
	}
	return 0
}

// SetTimes fills in rates and percentiles from the run's duration and the sorted-in-place latencies.
func (r *Report) SetTimes(elapsed time.Duration, latencies []time.Duration) {
	r.Seconds = elapsed.Seconds()
	if r.Seconds > 0 {
		r.PerSecond = float64(r.Completed) / r.Seconds
	}
	slices.Sort(latencies)
	r.P50Micros = percentile(latencies, 50)
	r.P99Micros = percentile(latencies, 99)
	r.MaxMicros = percentile(latencies, 100)
}

// percentile returns the nearest-rank percentile p of sorted, in microseconds; 0 if there is none.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := max((len(sorted)*p+99)/100, 1)
	return float64(sorted[rank-1]) / float64(time.Microsecond)
}
