// SPDX-License-Identifier: Apache-2.0
//
// stanping URL CLUSTER pub|sub SUBJECT [MSG]: sub prints all messages stored so far (1 s wait).
// TLS: STAN_CA, STAN_CERT, STAN_KEY.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"
)

func main() {
	a := os.Args
	var o []nats.Option
	if c := os.Getenv("STAN_CA"); c != "" {
		o = append(o, nats.RootCAs(c))
	}
	if c := os.Getenv("STAN_CERT"); c != "" {
		o = append(o, nats.ClientCert(c, os.Getenv("STAN_KEY")))
	}
	die := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	nc, err := nats.Connect(a[1], o...)
	die(err)
	sc, err := stan.Connect(a[2], fmt.Sprintf("ping-%d", os.Getpid()), stan.NatsConn(nc))
	die(err)
	if a[3] == "pub" {
		die(sc.Publish(a[4], []byte(a[5])))
	} else {
		_, err = sc.Subscribe(a[4], func(m *stan.Msg) { fmt.Printf("%d %s\n", m.Sequence, m.Data) }, stan.DeliverAllAvailable())
		die(err)
		time.Sleep(time.Second)
	}
	sc.Close()
	nc.Close()
}
