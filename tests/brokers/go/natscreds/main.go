// SPDX-License-Identifier: Apache-2.0
//
// natscreds DIR: writes user.nk, user.pub (plain nkey) and operator.jwt,
// resolver.conf, user.creds (operator mode with a system account, which JetStream needs) into DIR.
package main

import (
	"os"
	"path/filepath"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	dir := os.Args[1]
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			panic(err)
		}
	}
	op := must(nkeys.CreateOperator())
	ac := must(nkeys.CreateAccount())
	sy := must(nkeys.CreateAccount())
	us := must(nkeys.CreateUser())
	opPub, acPub, syPub, usPub := must(op.PublicKey()), must(ac.PublicKey()), must(sy.PublicKey()), must(us.PublicKey())
	seed := must(us.Seed())
	put("user.nk", append(append([]byte{}, seed...), '\n'))
	put("user.pub", []byte(usPub+"\n"))

	oc := jwt.NewOperatorClaims(opPub)
	oc.Name = "op"
	oc.SystemAccount = syPub
	put("operator.jwt", []byte(must(oc.Encode(op))))
	a := jwt.NewAccountClaims(acPub)
	a.Name = "acc"
	a.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	sc := jwt.NewAccountClaims(syPub)
	sc.Name = "SYS"
	put("resolver.conf", []byte("system_account: "+syPub+"\nresolver: MEMORY\nresolver_preload: {\n  "+
		acPub+": "+must(a.Encode(op))+"\n  "+syPub+": "+must(sc.Encode(op))+"\n}\n"))
	u := jwt.NewUserClaims(usPub)
	u.Name = "user"
	put("user.creds", must(jwt.FormatUserConfig(must(u.Encode(ac)), seed)))
}
