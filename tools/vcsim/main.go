// A launcher for govmomi's simulator library: Debian ships the library without its program.
//
// One line of JSON on stdout tells where it listens; SIGTERM, SIGINT or the end of stdin ends it.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address and port; port 0 takes a free one")
	username := flag.String("username", "backup", "the one account")
	password := flag.String("password", "", "its password")
	vcenter := flag.Bool("vcenter", false, "be a vCenter instead of one ESXi host")
	machines := flag.Int("machines", 2, "how many VMs the host has")
	tracking := flag.Bool("change-tracking", false, "let the VMs be capable of change tracking: its flag, not its areas")
	flag.Parse()

	model := simulator.ESX()
	if *vcenter {
		model = simulator.VPX()
	}
	model.Machine = *machines
	defer model.Remove()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	for _, found := range simulator.Map.All("VirtualMachine") {
		found.(*simulator.VirtualMachine).Capability.ChangeTrackingSupported = types.NewBool(*tracking)
	}
	model.Service.Listen = &url.URL{Scheme: "https", Host: *listen, User: url.UserPassword(*username, *password)}
	model.Service.TLS = new(tls.Config)
	server := model.Service.NewServer()
	defer server.Close()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"address": server.URL.Host}); err != nil {
		log.Fatal(err)
	}

	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		// Whoever started this holds the other end: when it is killed, nothing stays behind.
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended <- syscall.SIGTERM
	}()
	<-ended
}
