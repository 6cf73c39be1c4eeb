"""The SOAP side: messages, properties of managed objects, the property collector, the calls."""
