// Loaded into NNI's manager before it starts (node --require). The manager listens on all interfaces and asks nobody who
// they are: here every server that names no host listens on this machine only. And it stops, with its trials, when the
// process that started it is gone.
"use strict";
const net = require("net");

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (first, ...rest) {
    if (typeof first === "number" && typeof rest[0] !== "string") {
        return listen.call(this, { port: first, host: "127.0.0.1" }, ...rest);
    }
    if (first !== null && typeof first === "object" && "port" in first && !first.host) {
        return listen.call(this, { ...first, host: "127.0.0.1" }, ...rest);
    }
    return listen.call(this, first, ...rest);
};

const parent = process.ppid;
const watch = setInterval(() => {
    if (process.ppid !== parent) {
        clearInterval(watch);
        process.kill(process.pid, "SIGTERM"); // NNI's own orderly stop, which ends its trials
        setTimeout(() => process.exit(1), 20000).unref();
    }
}, 500);
watch.unref();
