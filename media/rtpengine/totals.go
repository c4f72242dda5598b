package rtpengine

import "time"

// Totals is what flowed in one call.
type Totals struct {
	RTP, RTCP Count
	Parties   []Party
}

// Count counts packets that came. Errors of them were not sent on, as those of a wrong source.
type Count struct{ Packets, Bytes, Errors int64 }

// Accepted is how many packets were sent on.
func (c Count) Accepted() int64 { return max(0, c.Packets-c.Errors) }

// Party is what came from the party of one tag.
type Party struct {
	Tag   string
	Count           // RTP and RTCP of all its media
	Last  time.Time // when its last packet came, or its ports were opened; zero: unknown
}

// count reads a dictionary of three numbers.
func count(v value) Count {
	return Count{Packets: v.get("packets").num(), Bytes: v.get("bytes").num(), Errors: v.get("errors").num()}
}

// totals reads the answer to a query.
func totals(v value) Totals {
	all := v.get("totals")
	t := Totals{RTP: count(all.get("RTP")), RTCP: count(all.get("RTCP"))}
	for tag, party := range v.get("tags").pairs {
		p := Party{Tag: string(tag)}
		for medium := range party.get("medias").items {
			for stream := range medium.get("streams").items {
				p.add(stream)
			}
		}
		t.Parties = append(t.Parties, p)
	}
	return t
}

// add adds one port of a party.
func (p *Party) add(stream value) {
	c := count(stream.get("stats"))
	p.Packets += c.Packets
	p.Bytes += c.Bytes
	p.Errors += c.Errors
	if last := stream.get("last packet").num(); last > 0 && time.Unix(last, 0).After(p.Last) {
		p.Last = time.Unix(last, 0)
	}
}
