module lanyard.test/oracle

go 1.24
