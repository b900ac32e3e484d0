#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bifold_testpeer::decoders::roster(bytes));
