'use strict';
const ipvs = require('ipvs');
const testing = require('ipvs/testing');
const { version } = require('ipvs/package.json');

require('./consumer').check(ipvs, testing, version);
