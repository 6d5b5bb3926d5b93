// A back end for tests: says over HTTP what it was sent, and echoes WebSocket messages.
//
// PORT (8080) is where it listens. After SIGTERM it goes on as before for DRAIN seconds (0), new
// connections included: a member that is told to end and is still asked.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

type answer struct {
	Pod     string              `json:"pod"`
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Host    string              `json:"host"`
	Headers map[string][]string `json:"headers"`
}

func main() {
	pod, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	drain, err := strconv.Atoi(setting("DRAIN", "0"))
	if err != nil {
		log.Fatalf("DRAIN: %v", err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	listener, err := net.Listen("tcp", ":"+setting("PORT", "8080"))
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(listener, serve(pod))) }()
	log.Printf("listening on %v", listener.Addr())
	<-ended
	time.Sleep(time.Duration(drain) * time.Second)
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func serve(pod string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
			echo(w, r)
		case r.URL.Path == "/healthz":
			io.WriteString(w, "ok\n")
		default:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(answer{pod, r.Method, r.RequestURI, r.Host, r.Header})
		}
	})
}

func echo(w http.ResponseWriter, r *http.Request) {
	// A gateway is in between: the Origin is for it to judge.
	connection, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		log.Print(err)
		return
	}
	defer connection.CloseNow()
	connection.SetReadLimit(-1)
	for {
		kind, message, err := connection.Read(r.Context())
		if err != nil {
			return
		}
		if err := connection.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}
