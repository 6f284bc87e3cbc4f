"""What ns-3 says, for `compare_ns3.py`; run by a Python that has ns-3 (`pip install ns3`).

    python ns3_models.py {losses|deliveries|jakes} < request.json > answer.json

The requests and answers are described at the functions of these names. Nothing of cosim is used.
"""

import json
import math
import sys
from importlib.metadata import version

from ns import ns

CONDITIONS = {"los": "AlwaysLos", "nlos": "NeverLos", "nlosv": "NeverLosVehicle"}
PAYLOAD_BYTES = 1472
SECOND_FS = 10**15

# Python functions cannot be trace sinks, and the bindings cannot make packets.
ns.cppyy.cppdef("""
namespace peer {
std::vector<int64_t> arrivals;
void Arrive(ns3::Ptr<const ns3::Packet>, const ns3::Address&) {
    arrivals.push_back(ns3::Simulator::Now().GetTimeStep());
}
void Watch(ns3::Ptr<ns3::Object> sink) {
    sink->TraceConnectWithoutContext("Rx", ns3::MakeCallback(&Arrive));
}
void Send(ns3::Ptr<ns3::Socket> socket, uint32_t bytes) {
    socket->Send(ns3::Create<ns3::Packet>(bytes));
}
}
""")


def losses(request):
    """Return ns-3's `version` and `loss_db`: for each case a value for each distance, or `draws`.

    A case has `model` (name of the class without PropagationLossModel), `condition` (or None),
    `attributes`, `heights_m` of both ends, and `ground_m`, a list. The 3GPP models get no
    shadowing.
    """
    nodes = ns.NodeContainer()
    nodes.Create(2)
    ends = [ns.CreateObject[ns.ConstantPositionMobilityModel]() for _ in range(2)]
    for number, end in enumerate(ends):
        nodes.Get(number).AggregateObject(end)
    found = [case_losses(case, ends) for case in request["cases"]]
    return {"version": version("ns3"), "loss_db": found}


def case_losses(case, ends):
    model = ns.CreateObject[getattr(ns, case["model"] + "PropagationLossModel")]()
    for name, value in case["attributes"].items():
        model.SetAttribute(name, ns.DoubleValue(value))
    if case["condition"] is not None:
        name = CONDITIONS[case["condition"]] + "ChannelConditionModel"
        model.SetAttribute("ShadowingEnabled", ns.BooleanValue(False))
        model.SetChannelConditionModel(ns.CreateObject[getattr(ns, name)]())
    first, second = ends
    first.SetPosition(ns.Vector(0.0, 0.0, case["heights_m"][0]))
    result = []
    for ground_m in case["ground_m"]:
        second.SetPosition(ns.Vector(ground_m, 0.0, case["heights_m"][1]))
        values = [-model.CalcRxPower(0.0, first, second) for _ in range(case.get("draws") or 1)]
        result.append(values if case.get("draws") else values[0])
    return result


def deliveries(request):
    """Return for each case when each UDP packet arrives, in seconds after the first was sent.

    A case has `rate_bps`, `num_bytes` and `delay_s` of a point-to-point link. The request's
    `resolution` is that of ns-3's clock, `ns` or `fs`. All packets are handed to the socket at
    time 0, the last with what is left of the bytes; each is sent with 30 bytes of headers: UDP 8,
    IPv4 20, PPP 2.
    """
    ns.Time.SetResolution(getattr(ns.Time, request["resolution"].upper()))
    ticks_per_s = {"ns": 10**9, "fs": SECOND_FS}[request["resolution"]]
    size = ns.StringValue("1000000p")
    ns.Config.SetDefault("ns3::DropTailQueue<Packet>::MaxSize", size)
    return [[tick / ticks_per_s for tick in case_ticks(case)] for case in request["cases"]]


def case_ticks(case):
    nodes = ns.NodeContainer()
    nodes.Create(2)
    link = ns.PointToPointHelper()
    link.SetDeviceAttribute("DataRate", ns.DataRateValue(ns.DataRate(int(case["rate_bps"]))))
    delay = ns.StringValue(f"{round(case['delay_s'] * SECOND_FS)}fs")
    link.SetChannelAttribute("Delay", delay)
    devices = link.Install(nodes)
    ns.InternetStackHelper().Install(nodes)
    addresses = ns.Ipv4AddressHelper()
    addresses.SetBase(ns.Ipv4Address("10.1.1.0"), ns.Ipv4Mask("255.255.255.0"))
    interfaces = addresses.Assign(devices)
    # The default queue discipline drops what waits for more than 5 ms.
    ns.TrafficControlHelper().Uninstall(devices)
    kind = "ns3::UdpSocketFactory"
    everyone = ns.InetSocketAddress(ns.Ipv4Address.GetAny(), 9).ConvertTo()
    sinks = ns.PacketSinkHelper(kind, everyone).Install(nodes.Get(1))
    sinks.Start(ns.Seconds(0))
    ns.cppyy.gbl.peer.arrivals.clear()
    ns.cppyy.gbl.peer.Watch(sinks.Get(0))
    socket = ns.Socket.CreateSocket(nodes.Get(0), ns.TypeId.LookupByName(kind))
    socket.Connect(ns.InetSocketAddress(interfaces.GetAddress(1), 9).ConvertTo())
    left = case["num_bytes"]
    while left > 0:
        ns.cppyy.gbl.peer.Send(socket, min(left, PAYLOAD_BYTES))
        left -= PAYLOAD_BYTES
    ns.Simulator.Run()
    ns.Simulator.Destroy()
    return list(ns.cppyy.gbl.peer.arrivals)


def jakes(request):
    """Return complex gains over sqrt(2) of `links` processes, [links][samples] of [re, im].

    The request has `links`, `samples`, `doppler_hz`, `start_s` and `step_s`.
    """
    model = ns.CreateObject[ns.JakesPropagationLossModel]()
    processes = []
    for _ in range(request["links"]):
        process = ns.CreateObject[ns.JakesProcess]()
        process.SetAttribute("DopplerFrequencyHz", ns.DoubleValue(request["doppler_hz"]))
        process.SetPropagationLossModel(model)
        processes.append(process)
    gains = [[] for _ in processes]
    scale = math.sqrt(0.5)
    for sample in range(request["samples"]):
        step_s = request["step_s"] if sample else request["start_s"]
        ns.Simulator.Stop(ns.Seconds(step_s))
        ns.Simulator.Run()
        for gain, process in zip(gains, processes, strict=True):
            value = process.GetComplexGain()
            gain.append([scale * value.real, scale * value.imag])
    return gains


if __name__ == "__main__":
    TASKS = {"losses": losses, "deliveries": deliveries, "jakes": jakes}
    json.dump(TASKS[sys.argv[1]](json.load(sys.stdin)), sys.stdout)
