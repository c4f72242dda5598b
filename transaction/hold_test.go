package transaction

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// TestHold: a final response that is held back goes to nobody before its time, neither for a retransmission nor by timer G, and once then.
func TestHold(t *testing.T) {
	for _, method := range []sip.Method{sip.REGISTER, sip.INVITE} {
		table := newTable(t, nil)
		tx, _, err := table.Begin(1<<60, false)
		if err != nil {
			t.Fatal(err)
		}
		tx.Method = method
		tx.Sent([]byte("request"), epoch)
		tx.Response(404, epoch.Add(2*time.Millisecond))
		tx.KeepACK(nil)
		tx.Relayed([]byte("reply"))
		tx.Hold(epoch.Add(700 * time.Millisecond))
		tx.Unlock()
		tasks := map[Task]int{}
		for at := time.Duration(0); at <= time.Second; at += 10 * time.Millisecond {
			if tx := table.Find(1 << 60); string(tx.Last()) != "" && at < 700*time.Millisecond {
				t.Errorf("%v: %s after %v", method, tx.Last(), at)
				tx.Unlock()
			} else {
				tx.Unlock()
			}
			for i := range table.Shards() {
				for tx, task := table.Due(i, epoch.Add(at)); tx != nil; tx, task = table.Due(i, epoch.Add(at)) {
					tasks[task]++
					if task == Release && (at < 700*time.Millisecond || at > 720*time.Millisecond || string(tx.Last()) != "reply") {
						t.Errorf("%v: %q is released after %v", method, tx.Last(), at)
					}
					tx.Unlock()
				}
			}
		}
		if tasks[Release] != 1 || tasks[ResendReply] != 0 {
			t.Errorf("%v: %v", method, tasks)
		}
		tx = table.Find(1 << 60)
		if string(tx.Last()) != "reply" {
			t.Errorf("%v: a retransmission gets %q", method, tx.Last())
		}
		tx.Unlock()
	}
}

// TestQuiet: the target's 100 does not bring on ours, which comes by the clock.
func TestQuiet(t *testing.T) {
	table := newTable(t, nil)
	tx, _, err := table.Begin(1<<60, false)
	if err != nil {
		t.Fatal(err)
	}
	tx.Method, tx.Quiet = sip.INVITE, true
	tx.Sent([]byte("request"), epoch)
	if step := tx.Response(100, epoch.Add(time.Millisecond)); step != Absorb {
		t.Errorf("step %d", step)
	}
	tx.Unlock()
	trying := 0
	for i := range table.Shards() {
		for tx, task := table.Due(i, epoch.Add(200*time.Millisecond)); tx != nil; tx, task = table.Due(i, epoch.Add(200*time.Millisecond)) {
			if task == SendTrying {
				trying++
			}
			tx.Unlock()
		}
	}
	if trying != 1 {
		t.Errorf("%d times Trying", trying)
	}
}
