package portmap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"net/url"
	"strconv"
)

// maxServices of one device description are looked at, and maxDepth elements inside each other.
const (
	maxServices = 64
	maxDepth    = 64
)

var (
	errDirective = errors.New("the XML holds a document type")
	errDepth     = errors.New("the XML is nested too deep")
)

// texts calls f for each element of a document when it ends, with its local name and the text
// right inside it. Documents are at most maxAnswer long. Routers write XML of all kinds, so the
// reading is lenient; entities other than the five of XML itself stay as they are.
func texts(doc []byte, f func(depth int, name, text string) error) error {
	d := xml.NewDecoder(bytes.NewReader(doc))
	d.Strict = false
	// What is looked for is ASCII, in whatever encoding the rest is.
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var stack [][]byte // the text of each open element
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(stack) == maxDepth {
				return errDepth
			}
			stack = append(stack, nil)
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1] = append(stack[len(stack)-1], t...)
			}
		case xml.EndElement:
			if len(stack) == 0 {
				return errMalformed
			}
			text := string(bytes.TrimSpace(stack[len(stack)-1]))
			stack = stack[:len(stack)-1]
			if err := f(len(stack), t.Name.Local, text); err != nil {
				return err
			}
		case xml.Directive:
			return errDirective
		}
	}
}

// service is something that a gateway can be asked for.
type service struct {
	kind    string // serviceType
	control *url.URL
}

// parseDescription reads the services of a device description that lie on the gateway.
// refused counts those that do not.
func parseDescription(doc []byte, location *url.URL, gateway netip.Addr) (found []service, refused int, err error) {
	base, kind, control := location, "", ""
	type raw struct{ kind, control string }
	var all []raw
	err = texts(doc, func(_ int, name, text string) error {
		switch name {
		case "URLBase": // UPnP 1.0
			if u, err := atGateway(location, text, gateway); err == nil {
				base = u
			} else if text != "" {
				return err
			}
		case "serviceType":
			kind = text
		case "controlURL":
			control = text
		case "service":
			if kind != "" && control != "" && len(all) < maxServices {
				all = append(all, raw{kind, control})
			}
			kind, control = "", ""
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	for _, s := range all {
		if u, err := atGateway(base, s.control, gateway); err == nil {
			found = append(found, service{s.kind, u})
		} else {
			refused++
		}
	}
	return found, refused, nil
}

// argument is one of a SOAP action.
type argument struct{ name, value string }

// appendAction encodes a SOAP request (UPnP Device Architecture 1.1 section 3.2.1).
func appendAction(b []byte, kind, action string, args []argument) []byte {
	out := bytes.NewBuffer(b)
	escape := func(s string) { _ = xml.EscapeText(out, []byte(s)) } // a buffer takes everything
	out.WriteString(`<?xml version="1.0"?>` + "\r\n" +
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:` + action + ` xmlns:u="`)
	escape(kind)
	out.WriteString(`">`)
	for _, a := range args {
		out.WriteString("<" + a.name + ">")
		escape(a.value)
		out.WriteString("</" + a.name + ">")
	}
	out.WriteString("</u:" + action + "></s:Body></s:Envelope>\r\n")
	return out.Bytes()
}

// parseActionReply reads what an action returned. A fault is an igdError.
func parseActionReply(doc []byte, action string) (values map[string]string, err error) {
	values = map[string]string{}
	answered, fault := false, igdError(0)
	err = texts(doc, func(_ int, name, text string) error {
		switch name {
		case action + "Response":
			answered = true
		case "errorCode":
			code, err := strconv.ParseUint(text, 10, 16)
			if err != nil || code == 0 {
				return errMalformed
			}
			fault = igdError(code)
		default:
			if len(values) < maxServices {
				values[name] = text
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case fault != 0:
		return nil, fault
	case !answered:
		return nil, errMalformed
	}
	return values, nil
}

// igdError is the errorCode of a fault.
type igdError uint16

// Codes that are acted upon (WANIPConnection:2 section 2.5.16, WANIPv6FirewallControl:1 section 2.5.2).
const (
	igdInvalidArgs       igdError = 402
	igdNoSuchPinhole     igdError = 704
	igdNoSuchMapping     igdError = 714
	igdConflict          igdError = 718
	igdOnlyPermanent     igdError = 725
	igdConflictMechanism igdError = 729
)

var igdErrors = map[igdError]string{
	401: "invalid action", igdInvalidArgs: "invalid arguments", 501: "action failed", 606: "not authorized", 701: "pinhole space exhausted", 702: "the firewall is switched off",
	703: "inbound pinholes are not allowed", igdNoSuchPinhole: "no such pinhole", igdNoSuchMapping: "no such mapping", igdConflict: "the port is taken by another mapping", 724: "both ports must be the same",
	igdOnlyPermanent: "only permanent mappings", 728: "no mappings left", igdConflictMechanism: "the port is taken by another mechanism",
}

func (e igdError) Error() string {
	text := "error " + strconv.Itoa(int(e))
	if known := igdErrors[e]; known != "" {
		text += ": " + known
	}
	return text
}
