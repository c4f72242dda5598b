package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/transport"
)

const (
	expiresSoon      = 14 * 24 * time.Hour // how long before its end a certificate needs attention
	lookCertificates = 10 * time.Second
)

// certificateConcern is what needs attention about the time of c, the zero value if nothing does.
func certificateConcern(c *transport.CertificateInfo, at time.Time) concern {
	what := certificateName(c)
	switch left := c.NotAfter.Sub(at); {
	case left <= 0:
		return concern{"certificate.expired", fmt.Sprintf("%s has expired on %s", what, day(c.NotAfter))}
	case at.Before(c.NotBefore):
		return concern{"certificate.early", fmt.Sprintf("%s is not good before %s: look at the clock of this machine, or at the certificate", what, moment(c.NotBefore))}
	case left < expiresSoon:
		return concern{"certificate.expires", fmt.Sprintf("%s expires on %s, %s left", what, day(c.NotAfter), count(int(left.Hours()/24), "day"))}
	}
	return concern{}
}

// certificateName names c in a sentence.
func certificateName(c *transport.CertificateInfo) string {
	if c.Authority {
		return "the authority " + c.File
	}
	return fmt.Sprintf("the certificate %s (%s)", c.File, commas(c.Names))
}

func moment(t time.Time) string { return t.UTC().Format(time.DateTime) }

// A toldCertificate is what the log has been told of one certificate: once for each kind of trouble, however the days left go down.
type toldCertificate struct {
	file, id string
	end      time.Time
}

// watchCertificates tells the log when the time of a certificate or an authority has not come, comes to its end, or is over, until ctx ends.
func (s *service) watchCertificates(ctx context.Context) {
	look := time.NewTicker(lookCertificates)
	defer look.Stop()
	told := map[toldCertificate]bool{}
	for at := time.Now(); ; {
		told = tellCertificates(s.log, s.transport.Certificates(), told, at)
		select {
		case <-ctx.Done():
			return
		case at = <-look.C:
		}
	}
}

// tellCertificates tells log what needs attention about the time of some of all and is not in told, and returns what is told now.
func tellCertificates(log *slog.Logger, all []transport.CertificateInfo, told map[toldCertificate]bool, at time.Time) map[toldCertificate]bool {
	now := map[toldCertificate]bool{}
	for _, c := range all {
		about := certificateConcern(&c, at)
		if about == (concern{}) {
			continue
		}
		one := toldCertificate{c.File, about.ID, c.NotAfter}
		if now[one] = true; !told[one] {
			log.Warn(about.Text, "event", event.Listener, "reason", about.ID)
		}
	}
	return now
}
