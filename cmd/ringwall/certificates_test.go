package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/transport"
)

// TestCertificatesInLog: the log is told once when a certificate or an authority begins to need attention, while the service runs; a new one that
// does so is told again.
func TestCertificatesInLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	end := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	all := []transport.CertificateInfo{{File: "/c.pem", Names: []string{"a.example"}, NotAfter: end}, {File: "/ca.pem", Authority: true, NotAfter: end.Add(time.Hour)}}
	var told map[toldCertificate]bool
	for _, step := range []struct {
		at   time.Duration // after the end
		want []string
	}{
		{-15 * 24 * time.Hour, nil},
		{-13 * 24 * time.Hour, []string{"the certificate /c.pem (a.example) expires on 2026-05-01, 13 days left", "the authority /ca.pem expires on 2026-05-01"}},
		{-12 * 24 * time.Hour, nil},
		{time.Minute, []string{"the certificate /c.pem (a.example) has expired on 2026-05-01"}},
		{2 * time.Hour, []string{"the authority /ca.pem has expired on 2026-05-01"}},
		{3 * time.Hour, nil},
	} {
		out.Reset()
		told = tellCertificates(log, all, told, end.Add(step.at))
		if n := strings.Count(out.String(), "level=WARN"); n != len(step.want) {
			t.Errorf("%v after the end the log is told %d times:\n%s", step.at, n, out.String())
		}
		for _, text := range step.want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%v after the end no %q in\n%s", step.at, text, out.String())
			}
		}
	}
	all[0].NotAfter, all[0].NotBefore = end.Add(24*time.Hour), end.Add(12*time.Hour)
	out.Reset()
	if told = tellCertificates(log, all, told, end.Add(3*time.Hour)); !strings.Contains(out.String(), "is not good before 2026-05-02 00:00:00") {
		t.Errorf("of one that comes too early the log is told\n%s", out.String())
	}
	all[0] = transport.CertificateInfo{File: "/c.pem", NotAfter: end.Add(365 * 24 * time.Hour)}
	if told = tellCertificates(log, all, told, end.Add(3*time.Hour)); len(told) != 1 {
		t.Errorf("%d things are told after the certificate was renewed", len(told))
	}
}
