// Every file with tests.
'use strict';

require('./test');
require('./test_arguments');
require('./test_tls');
